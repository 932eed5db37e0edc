//! Patterns over keys: a glob where there is a `*`, `?` or `[`, else a literal prefix.

/// A compiled pattern. Matching takes time linear in the key for one `*`, and at most key × pattern altogether.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Glob {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(char),
    /// `?`: any one character.
    One,
    /// `*`: any run of characters, the empty one too.
    Run,
    /// `[abc]`, `[a-z]`, `[!a]`.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Part {
    fn accepts(&self, character: char) -> bool {
        match self {
            Self::Literal(literal) => *literal == character,
            Self::One => true,
            Self::Run => false,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&character)) != *negated
            }
        }
    }
}

/// Whether `pattern` is a glob; otherwise it is a literal prefix.
pub(crate) fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?', '['])
}

impl Glob {
    /// Compiles `pattern`. Every string is a valid pattern: a `[` that is never closed stands for itself.
    pub(crate) fn new(pattern: &str) -> Self {
        let characters: Vec<char> = pattern.chars().collect();
        let mut parts = Vec::with_capacity(characters.len());
        let mut at = 0;
        while let Some(&character) = characters.get(at) {
            at += 1;
            match character {
                '*' if parts.last() == Some(&Part::Run) => {}
                '*' => parts.push(Part::Run),
                '?' => parts.push(Part::One),
                '[' => match class(&characters[at..]) {
                    Some((part, length)) => {
                        parts.push(part);
                        at += length;
                    }
                    None => parts.push(Part::Literal('[')),
                },
                literal => parts.push(Part::Literal(literal)),
            }
        }
        Self { parts }
    }

    /// What every match starts with.
    pub(crate) fn literal_prefix(&self) -> String {
        let literal = |part: &Part| match part {
            Part::Literal(character) => Some(*character),
            _ => None,
        };
        self.parts.iter().map_while(literal).collect()
    }

    /// Whether it matches all of `key`.
    pub(crate) fn matches(&self, key: &str) -> bool {
        let mut rest = key.chars();
        let mut part = 0;
        // Where to go on after a mismatch: the last `*` takes one more character than before.
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            if self.parts.get(part) == Some(&Part::Run) {
                part += 1;
                retry = Some((part, rest.clone()));
                continue;
            }
            let mut ahead = rest.clone();
            match (self.parts.get(part), ahead.next()) {
                (None, None) => return true,
                (Some(expected), Some(character)) if expected.accepts(character) => {
                    part += 1;
                    rest = ahead;
                }
                _ => {
                    let Some((after_run, taken)) = &mut retry else { return false };
                    if taken.next().is_none() {
                        return false;
                    }
                    part = *after_run;
                    rest = taken.clone();
                }
            }
        }
    }
}

/// The class that `characters` start with, just past its `[`, and its length with the `]`. A `]` that comes first
/// stands for itself, as in a shell.
fn class(characters: &[char]) -> Option<(Part, usize)> {
    let negated = matches!(characters.first(), Some('!'));
    let start = usize::from(negated);
    let end = start + 1 + characters.get(start + 1..)?.iter().position(|&character| character == ']')?;
    let mut ranges = Vec::new();
    let mut at = start;
    while at < end {
        if at + 2 < end && characters[at + 1] == '-' {
            ranges.push((characters[at], characters[at + 2]));
            at += 3;
        } else {
            ranges.push((characters[at], characters[at]));
            at += 1;
        }
    }
    Some((Part::Class { negated, ranges }, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, key: &str) -> bool {
        Glob::new(pattern).matches(key)
    }

    #[test]
    fn runs_and_single_characters() {
        assert!(matches("*", ""));
        assert!(matches("a*c", "abbbc"));
        assert!(matches("a*b*c", "a-b-b-c"));
        assert!(!matches("a*c", "abbbd"));
        assert!(matches("?", "é"));
        assert!(!matches("?", ""));
        assert!(!matches("?", "ab"));
        assert!(matches("**a", "a"));
        assert!(matches("users::*::notes", "users::a::b::notes"));
    }

    #[test]
    fn classes() {
        assert!(matches("[a-c]x", "bx"));
        assert!(!matches("[!a-c]x", "bx"));
        assert!(matches("[]]", "]"));
        assert!(matches("[!]]", "a"));
        assert!(matches("[a-]", "-"));
        assert!(matches("[ab", "[ab"));
        assert!(matches("x[", "x["));
        assert!(matches("[*]", "*"));
        assert!(!matches("[*]", "a"));
    }

    #[test]
    fn a_hostile_pattern_stays_polynomial() {
        let pattern = "*a".repeat(500);
        assert!(!matches(&pattern, &"a".repeat(499)));
        assert!(matches(&pattern, &"a".repeat(2000)));
    }

    #[test]
    fn the_literal_prefix_bounds_the_search() {
        assert_eq!(Glob::new("ab*c").literal_prefix(), "ab");
        assert_eq!(Glob::new("[ab").literal_prefix(), "[ab");
        assert_eq!(Glob::new("*").literal_prefix(), "");
    }
}
