//! Keycloak keeps a credential in two JSON documents.

use base64ct::{Base64, Base64Unpadded, Encoding};
use serde::Deserialize;

use crate::RecordError;

/// Longest document that is read, in bytes.
const MAX_LEN: usize = 4096;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    hash_iterations: u32,
    algorithm: String,
    #[serde(default)]
    additional_parameters: Parameters,
}

#[derive(Deserialize, Default)]
struct Parameters {
    #[serde(default)]
    memory: Vec<String>,
    #[serde(default, rename = "type")]
    variant: Vec<String>,
    #[serde(default)]
    version: Vec<String>,
    #[serde(default)]
    parallelism: Vec<String>,
}

#[derive(Deserialize)]
struct Secret {
    value: String,
    salt: String,
}

/// `CREDENTIAL_DATA` and `SECRET_DATA` as one text: a PHC string for Argon2, passlib's for PBKDF2.
pub(crate) fn as_text(credential_data: &str, secret_data: &str) -> Result<String, RecordError> {
    if credential_data.len() > MAX_LEN || secret_data.len() > MAX_LEN {
        return Err(RecordError::TooLong { max: MAX_LEN });
    }
    let data: Data =
        serde_json::from_str(credential_data).map_err(|_| RecordError::Field("credential data"))?;
    let secret: Secret =
        serde_json::from_str(secret_data).map_err(|_| RecordError::Field("secret data"))?;
    let recoded = |text: &str, field| {
        let bytes = Base64::decode_vec(text).map_err(|_| RecordError::Field(field));
        bytes.map(|bytes| Base64Unpadded::encode_string(&bytes))
    };
    let (salt, hash) = (recoded(&secret.salt, "salt")?, recoded(&secret.value, "hash")?);
    let rounds = data.hash_iterations;
    let name = match data.algorithm.as_str() {
        "pbkdf2" => "pbkdf2",
        "pbkdf2-sha256" => "pbkdf2-sha256",
        "pbkdf2-sha512" => "pbkdf2-sha512",
        "argon2" => {
            let first = |values: &[String]| values.first().cloned();
            let of = &data.additional_parameters;
            let missing = RecordError::Field("credential data");
            let variant = first(&of.variant).filter(|of| ["id", "i", "d"].contains(&of.as_str()));
            let variant = variant.ok_or(missing)?;
            let memory = first(&of.memory).ok_or(missing)?;
            let lanes = first(&of.parallelism).ok_or(missing)?;
            let version = match first(&of.version).as_deref() {
                Some("1.3") => 19,
                Some("1.0") => 16,
                _ => return Err(missing),
            };
            return Ok(format!(
                "$argon2{variant}$v={version}$m={memory},t={rounds},p={lanes}${salt}${hash}"
            ));
        }
        _ => return Err(RecordError::Field("algorithm")),
    };
    let (salt, hash) = (salt.replace('+', "."), hash.replace('+', "."));
    Ok(format!("${name}${rounds}${salt}${hash}"))
}
