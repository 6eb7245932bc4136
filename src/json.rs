//! Files of moderate size, and the JSON in them.

use std::borrow::Cow;
use std::io::Read;

use serde::de::DeserializeOwned;

use crate::error::{Error, Result};
use crate::location::Location;

/// Larger than any configuration, index or tokenizer in use.
const MAX_BYTES: u64 = 256 << 20;

/// Reads a JSON file into the fields of `T`.
///
/// # Errors
/// [`Error::Io`] where the file cannot be read; [`Error::Weights`] where it is no JSON, lacks a field or has one of another type, with line
/// and column.
pub fn read_json<T: DeserializeOwned>(file: &Location) -> Result<T> {
    let text = read_json_text(file)?;
    serde_json::from_str(&text).map_err(|error| Error::weights(file.path(), error.to_string()))
}

/// The text of a JSON file, with null for the `NaN`, `Infinity` and `-Infinity` that Python writes and JSON does not have.
pub(crate) fn read_json_text(file: &Location) -> Result<String> {
    let text = String::from_utf8(read(file)?).map_err(|_| Error::weights(file.path(), "not text in UTF-8"))?;
    // Some editors put a byte order mark first.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut parts: Vec<Cow<str>> = text.split('"').map(Cow::from).collect();
    // Every other part is inside a string, unless quotes within strings are escaped; then nothing is replaced.
    if !text.contains("\\\"") {
        for part in parts.iter_mut().step_by(2).filter(|part| part.contains("Infinity") || part.contains("NaN")) {
            *part = part.replace("-Infinity", "null").replace("Infinity", "null").replace("NaN", "null").into();
        }
    }
    Ok(parts.join("\""))
}

/// A whole file of moderate size.
pub(crate) fn read(file: &Location) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.reader()?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(Error::io(file.path()))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::weights(file.path(), format!("over {} MiB: not what it should be", MAX_BYTES >> 20)));
    }
    Ok(bytes)
}
