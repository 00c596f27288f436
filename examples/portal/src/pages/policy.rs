//! The policy in force: each promise, what it rests on, and whether it was seen to hold.
use crate::html::Html;
use crate::web::{Administrator, Failure, Member};
use axum::response::Response;
pub async fn show(_m: Member) -> Result<Html, Failure> {
    Ok(Html::default())
}
pub async fn probe(_m: Administrator) -> Result<Response, Failure> {
    Err(Failure::NotFound)
}
