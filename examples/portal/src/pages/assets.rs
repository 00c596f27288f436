//! The style sheet, the scripts and the icon: the only files that pages load.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Ticks off the rules for a new password.
pub const RULES: &str = "password.js";
/// Shows a password to whoever types it and wants to see it.
pub const SHOW_PASSWORD: &str = "show-password.js";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const FILES: [(&str, &str, &str); 4] = [
    ("style.css", "text/css; charset=utf-8", include_str!("../../static/style.css")),
    (RULES, SCRIPT, include_str!("../../static/password.js")),
    (SHOW_PASSWORD, SCRIPT, vouchsafe_tower::SHOW_PASSWORD_SCRIPT),
    ("icon.svg", "image/svg+xml", include_str!("../../static/icon.svg")),
];

/// One of the files; there are no others, and no folder to list.
pub async fn show(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(file, ..)| *file == name) {
        Some((_, kind, text)) => {
            let headers = [(header::CONTENT_TYPE, *kind), (header::CACHE_CONTROL, "max-age=300")];
            (headers, *text).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
