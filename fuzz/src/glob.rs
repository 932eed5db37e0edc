//! Patterns over keys, as their documentation says it and as slowly as that is: a table of which end of the pattern
//! matches which end of the key.

/// Whether `pattern` asks for `key`: as a glob where it holds `*`, `?` or `[`, else as a prefix.
pub fn matches(pattern: &str, key: &str) -> bool {
    if !pattern.contains(['*', '?', '[']) {
        return key.starts_with(pattern);
    }
    let pattern: Vec<char> = pattern.chars().collect();
    let key: Vec<char> = key.chars().collect();
    let mut table = vec![vec![false; key.len() + 1]; pattern.len() + 1];
    table[pattern.len()][key.len()] = true;
    for at in (0..pattern.len()).rev() {
        let class = if pattern[at] == '[' { closing(&pattern, at) } else { None };
        let next = class.map_or(at + 1, |end| end + 1);
        for from in (0..=key.len()).rev() {
            let one = key.get(from).is_some_and(|&character| match (pattern[at], class) {
                ('?', _) => true,
                ('[', Some(end)) => is_in(character, &pattern[at + 1..end]),
                (literal, _) => literal == character,
            });
            table[at][from] = match pattern[at] {
                '*' => table[at + 1][from] || (from < key.len() && table[at][from + 1]),
                _ => one && table[next][from + 1],
            };
        }
    }
    table[0][0]
}

/// Where the class that opens at `at` closes: a `]` that comes first in it is one of its characters.
fn closing(pattern: &[char], at: usize) -> Option<usize> {
    let first = at + 1 + usize::from(pattern.get(at + 1) == Some(&'!'));
    (first + 1..pattern.len()).find(|&end| pattern[end] == ']')
}

fn is_in(character: char, class: &[char]) -> bool {
    match class {
        ['!', rest @ ..] => !is_listed(character, rest),
        listed => is_listed(character, listed),
    }
}

fn is_listed(character: char, class: &[char]) -> bool {
    match class {
        [] => false,
        [low, '-', high, rest @ ..] => (*low <= character && character <= *high) || is_listed(character, rest),
        [one, rest @ ..] => *one == character || is_listed(character, rest),
    }
}
