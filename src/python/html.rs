//! Small tables for notebooks; everything in them is escaped.

use std::fmt::Write as _;

const LONGEST_CELL: usize = 200;

/// `text`, cut with an ellipsis where it is long.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(LONGEST_CELL) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

/// A table of names and texts under a title.
pub(super) fn table(title: &str, rows: &[(&str, String)]) -> String {
    let mut html = format!("<table><thead><tr><th colspan=\"2\">{}</th></tr></thead><tbody>", escaped(title));
    for (name, text) in rows {
        // Writing to a String can't fail.
        let _ = write!(html, "<tr><th>{}</th><td>{}</td></tr>", escaped(name), escaped(text));
    }
    html.push_str("</tbody></table>");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_escapes_from_a_cell() {
        let html = table("a", &[("<b>", "</td><script>'\"&".to_owned())]);
        assert!(html.contains("<th>&lt;b&gt;</th><td>&lt;/td&gt;&lt;script&gt;&#39;&quot;&amp;</td>"));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shortened(&"é".repeat(300)).chars().count(), LONGEST_CELL + 1);
        assert_eq!(shortened("short"), "short");
    }
}
