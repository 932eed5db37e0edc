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

/// The most steps that an error shows at either end: a cycle has more than a hundred.
const SHOWN_STEPS: usize = 8;

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
        self.add(step);
        self
    }

    pub(crate) fn add(&mut self, step: Step) {
        self.steps.push(step);
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
        let count = unsupported.steps.len();
        for (place, step) in unsupported.steps.iter().rev().enumerate() {
            if count > 2 * SHOWN_STEPS && place >= SHOWN_STEPS && place < count - SHOWN_STEPS {
                if place == SHOWN_STEPS {
                    path.push('…');
                }
                continue;
            }
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

    #[test]
    fn a_long_path_is_shortened_in_the_middle() {
        let deep = (0..100).fold(Unsupported::new("x"), |error, index| error.inside(Step::Index(index)));
        let error = Error::from(deep).to_string();
        assert!(error.starts_with("value[99][98]") && error.contains("[92]…[7]"), "{error}");
    }
}
