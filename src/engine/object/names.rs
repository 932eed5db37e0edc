//! How a key is written as an object's name.
//!
//! Each character becomes one code, so that for any two keys and any prefix of a key:
//!
//! 1. names compare byte by byte as the keys do;
//! 2. a key starts with a prefix exactly where its name starts with the prefix's codes;
//! 3. a name is made of `! ( ) - . / 0-9 : = @ _ a-z ~` alone: it means the same to every store, to XML, to a url and to
//!    a file system that folds case or normalises.
//!
//! | characters | code |
//! | --- | --- |
//! | `a`-`z`, `0`-`9`, `-`, `:` | themselves |
//! | U+0000 to U+001F | `(` and a digit of base 32 |
//! | U+0020 to `,` | `)` and a hexadecimal digit |
//! | `.` and `/` | `.e` and `.f` |
//! | `;` to `@` | `=` and `0` to `5` |
//! | `A`-`Z` | `=` and the small letter |
//! | `[` to `^` | `@` and `0` to `3` |
//! | `_` and `` ` `` | `__` and `_a` |
//! | from `{` on | `~` and the code point in four digits of base 36 |
//!
//! A `/` follows each `::`, read from the left, and each code that ends [`SEGMENT`] bytes or more past the last `/`: where
//! it stands depends on nothing that follows it. So a namespace is a folder, and no part is too long for a file's name.
//! A `!`, which sorts before every code, ends the name: no name of an object is that of a folder.

/// A part of a name is ended once it has so many bytes; it has at most 5 more, with `!`.
const SEGMENT: usize = 200;
/// What ends a name.
const END: char = '!';
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// The name of the object that holds `key`.
pub(super) fn name_of(key: &str) -> String {
    let mut name = start_of(key);
    name.push(END);
    name
}

/// What the names of all keys that start with `prefix` start with.
pub(super) fn start_of(prefix: &str) -> String {
    let mut name = String::with_capacity(prefix.len() + prefix.len() / 4 + 8);
    let (mut segment, mut colon) = (0, false);
    // One character at a time: what follows it must not decide on its slash.
    for character in prefix.chars() {
        let before = name.len();
        push(&mut name, character);
        segment += name.len() - before;
        let separates = colon && character == ':';
        colon = character == ':' && !separates;
        if separates || segment >= SEGMENT {
            name.push('/');
            segment = 0;
        }
    }
    name
}

/// The key whose object has this name; `None` for a name that no key has.
pub(super) fn key_of(name: &str) -> Option<String> {
    let codes = name.strip_suffix(END)?;
    let mut key = String::with_capacity(codes.len());
    let mut rest = codes.bytes().filter(|&byte| byte != b'/');
    while let Some(byte) = rest.next() {
        let character = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b':' => char::from(byte),
            b'(' => char::from_u32(digit(rest.next()?)?)?,
            b')' => char::from_u32(0x20 + digit(rest.next()?)?)?,
            b'.' => match rest.next()? {
                b'e' => '.',
                b'f' => '/',
                _ => return None,
            },
            b'=' => match rest.next()? {
                letter @ b'a'..=b'z' => char::from(letter.to_ascii_uppercase()),
                number => char::from_u32(u32::from(b';') + digit(number)?)?,
            },
            b'@' => char::from_u32(u32::from(b'[') + digit(rest.next()?)?)?,
            b'_' => match rest.next()? {
                b'_' => '_',
                b'a' => '`',
                _ => return None,
            },
            b'~' => {
                let mut point = 0;
                for _ in 0..4 {
                    point = point * 36 + digit(rest.next()?)?;
                }
                char::from_u32(point)?
            }
            _ => return None,
        };
        key.push(character);
    }
    // Each key has one name: what else decodes to it is somebody else's.
    (!key.is_empty() && name_of(&key) == name).then_some(key)
}

fn digit(byte: u8) -> Option<u32> {
    match byte {
        b'0'..=b'9' => Some(u32::from(byte - b'0')),
        b'a'..=b'z' => Some(u32::from(byte - b'a') + 10),
        _ => None,
    }
}

fn push(name: &mut String, character: char) {
    let mut two = |lead: char, number: u32| {
        name.push(lead);
        name.push(char::from(DIGITS[number as usize % DIGITS.len()]));
    };
    let point = u32::from(character);
    match character {
        'a'..='z' | '0'..='9' | '-' | ':' => name.push(character),
        '\0'..='\x1f' => two('(', point),
        ' '..=',' => two(')', point - 0x20),
        '.' => name.push_str(".e"),
        '/' => name.push_str(".f"),
        ';'..='@' => two('=', point - u32::from(';')),
        'A'..='Z' => {
            name.push('=');
            name.push(character.to_ascii_lowercase());
        }
        '['..='^' => two('@', point - u32::from('[')),
        '_' => name.push_str("__"),
        '`' => name.push_str("_a"),
        _ => {
            name.push('~');
            for power in [36 * 36 * 36, 36 * 36, 36, 1] {
                name.push(char::from(DIGITS[(point / power) as usize % DIGITS.len()]));
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_readable_where_keys_are() {
        assert_eq!(name_of("users::ada::notes"), "users::/ada::/notes!");
        assert_eq!(name_of("a"), "a!");
        assert_eq!(name_of("a::"), "a::/!");
        assert_eq!(name_of("a:::b"), "a::/:b!");
        assert_eq!(name_of("a::::b"), "a::/::/b!");
        assert_eq!(name_of("::x"), "::/x!");
        assert_eq!(name_of("Ada_1.txt"), "=ada__1.etxt!");
        assert_eq!(name_of("../ "), ".e.e.f)0!");
        assert_eq!(name_of("é"), "~006h!");
    }

    #[test]
    fn a_long_part_may_end_between_two_colons() {
        let long = "x".repeat(SEGMENT - 1);
        assert_eq!(name_of(&format!("{long}::y")), format!("{long}:/:/y!"));
        assert!(name_of(&format!("{long}:x")) > name_of(&format!("{long}::y")));
    }

    #[test]
    fn what_no_key_has_is_nobodys() {
        for name in
            ["", "!", "a", "/!", "a::b!", "a/b!", "a!!", "A!", "~zzzz!", "=6!", "_b!", "(w!", ".rrag/lock", "a/!"]
        {
            assert_eq!(key_of(name), None, "{name}");
        }
    }

    #[test]
    fn every_character_is_in_order() {
        let mut before = String::new();
        for character in ('\0'..='\u{300}').chain(['\u{fffd}', '\u{ffff}', '\u{10000}', char::MAX]) {
            let name = name_of(&character.to_string());
            assert!(before < name, "{character:?}");
            assert_eq!(key_of(&name).unwrap(), character.to_string());
            before = name;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 3_000, ..ProptestConfig::default() })]

        #[test]
        fn names_sort_and_start_as_keys_do(one in key(), two in key(), prefix in key(), long in prop_oneof![Just(0), 195..202usize, 395..405usize]) {
            let pad = "x".repeat(long);
            let (one, two) = (format!("{pad}{one}"), format!("{pad}{two}"));
            prop_assert_eq!(one.cmp(&two), name_of(&one).cmp(&name_of(&two)));
            prop_assert_eq!(key_of(&name_of(&one)), Some(one.clone()));
            let prefix = format!("{pad}{prefix}");
            prop_assert_eq!(one.starts_with(&prefix), name_of(&one).starts_with(&start_of(&prefix)));
            let joined = format!("{prefix}{two}");
            prop_assert!(name_of(&joined).starts_with(&start_of(&prefix)));
            for part in name_of(&joined).split('/') {
                prop_assert!(!part.is_empty() && part.len() <= SEGMENT + 6);
            }
        }
    }

    fn key() -> impl Strategy<Value = String> {
        prop_oneof!["[ab:!]{1,6}", "[a-zA-Z0-9:/._ %~\\x00-\\x7f]{1,40}", "\\PC{1,12}", "[:x]{150,260}", "[:x]{1,6}"]
    }
}
