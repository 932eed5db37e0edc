//! What the options of several engines have in common.

use crate::error::{Error, Result};

/// The longest table name: PostgreSQL's limit, the lowest.
const MAX_TABLE_CHARS: usize = 63;

/// Checks the name of a table: it stands in statements.
///
/// # Errors
///
/// [`Error::Configuration`] for what is not 1 to 63 of `A-Z a-z 0-9 _`, or starts with a digit, or is `reserved`, which
/// gets the name in small letters.
pub(super) fn check_table(table: &str, reserved: impl Fn(&str) -> bool) -> Result<()> {
    let plain = table.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let starts_well = !table.starts_with(|first: char| first.is_ascii_digit());
    if table.is_empty() || table.len() > MAX_TABLE_CHARS || !plain || !starts_well {
        return Err(Error::Configuration(format!(
            "table must be 1 to {MAX_TABLE_CHARS} letters, digits or underscores, the first no digit, not {table:?}"
        )));
    }
    if reserved(&table.to_ascii_lowercase()) {
        return Err(Error::Configuration(format!("table must not be {table:?}: that name is reserved")));
    }
    Ok(())
}

/// Undoes percent-encoding; `None` where a `%` starts no code.
pub(super) fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}
