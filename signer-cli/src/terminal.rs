//! What somebody else wrote, made fit for a person's terminal: it can neither move the cursor, nor colour, hide or reorder
//! words, nor pass for a line of ours.

use std::fmt::Write as _;

/// A text of somebody else, to be shown inside a line of ours: its further lines are marked with a bar.
pub fn quoted(text: &str) -> String {
    escaped(&text.trim_end_matches('\n').replace('\n', "\n      | "))
}

/// A word of a command, in quotes where a shell needs them.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.into()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

/// A whole report: what could act upon a terminal stands as `\u{1b}`; line breaks stay.
pub fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        if char != '\n' && acts(char) {
            // Writing into a string can't fail.
            let _ = write!(shown, "{}", char.escape_unicode());
        } else {
            shown.push(char);
        }
    }
    shown
}

/// A JSON document with the same content: what could act upon a terminal stands only in its strings, and as `\u001b` there.
pub fn escaped_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for char in json.chars() {
        if char != '\n' && acts(char) {
            // All of them have four digits; writing into a string can't fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(char));
        } else {
            shown.push(char);
        }
    }
    shown
}

/// As [`escaped`], for a name: line breaks stand as `\u{a}`, so that it can't pass for a line of ours.
pub fn one_line(text: &str) -> String {
    escaped(text).replace('\n', r"\u{a}")
}

/// Whether a character does something else than to be seen: control characters, those that turn the direction of writing
/// (UAX #9), separators that some programs break lines at, and those without a width.
pub fn acts(char: char) -> bool {
    char.is_control()
        || matches!(char, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_acts_upon_the_terminal_and_words_stay() {
        assert_eq!(escaped("Grüße → 你好\n"), "Grüße → 你好\n");
        assert_eq!(
            escaped("\u{1b}[2J\r\u{9b}1A\u{202e}x\u{feff}"),
            "\\u{1b}[2J\\u{d}\\u{9b}1A\\u{202e}x\\u{feff}"
        );
        assert_eq!(one_line(".a\n\u{1b}\nb"), r".a\u{a}\u{1b}\u{a}b");
        let text = "\u{1b}[2J\n\u{7f}\u{9b}\u{202e}\u{feff}Grüße \u{1f600}";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let shown = escaped_json(&json);
        assert!(shown.chars().all(|char| char == '\n' || !acts(char)), "{shown}");
        assert!(shown.contains(r"\n\u007f\u009b\u202e\ufeffGrüße"), "{shown}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&shown).unwrap(), [text]);
        assert_eq!(quoted("one\ntargets: version 3\n"), "one\n      | targets: version 3");
    }
}
