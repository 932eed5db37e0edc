//! What can't be encoded, and where in the value it stands.

use std::borrow::Cow;
use std::fmt::Write;

use super::Refused;
use crate::Error;

/// One step into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
    /// Into a set, whose members have no place.
    Member,
}

/// The most characters of a key that an error shows.
const SHOWN_KEY: usize = 60;

/// A part of a value that can't be encoded. The steps to it are added on the way out, innermost first.
#[derive(Debug)]
pub(crate) struct Unsupported {
    what: Cow<'static, str>,
    steps: Vec<Step>,
}

impl Unsupported {
    pub(crate) fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self { what: what.into(), steps: Vec::new() }
    }

    #[must_use]
    pub(crate) fn inside(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl From<Refused> for Unsupported {
    fn from(refused: Refused) -> Self {
        Self::new(refused.what())
    }
}

impl From<Unsupported> for Error {
    fn from(unsupported: Unsupported) -> Self {
        let mut path = String::from("value");
        for step in unsupported.steps.iter().rev() {
            // Writing to a string can't fail.
            let _ = match step {
                Step::Index(index) => write!(path, "[{index}]"),
                Step::Member => write!(path, "{{…}}"),
                Step::Key(key) => match key.char_indices().nth(SHOWN_KEY) {
                    None => write!(path, "[{key:?}]"),
                    Some((end, _)) => write!(path, "[{:?}…]", &key[..end]),
                },
            };
        }
        Self::UnsupportedType { path, what: unsupported.what.into_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_spelled_from_the_outside() {
        let unsupported = Unsupported::new("pandas.Timestamp")
            .inside(Step::Key("when".into()))
            .inside(Step::Index(3))
            .inside(Step::Key("docs".into()));
        let error = Error::from(unsupported).to_string();
        assert_eq!(error, r#"value["docs"][3]["when"]: pandas.Timestamp is not supported"#);
    }
}
