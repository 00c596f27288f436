//! The documents that come with the crate.

pub(crate) const NAMES: [&str; 3] = ["amigo", "zoomph-2018", "vouchsafe"];

pub(crate) fn text(name: &str) -> Option<&'static str> {
    match name {
        "amigo" => Some(include_str!("../presets/amigo.toml")),
        "zoomph-2018" => Some(include_str!("../presets/zoomph-2018.toml")),
        "vouchsafe" => Some(include_str!("../presets/vouchsafe.toml")),
        _ => None,
    }
}
