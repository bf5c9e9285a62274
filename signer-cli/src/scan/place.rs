//! Where something stands, in an image whose structure is not known: the last words before it.

/// Readable characters that are told.
const WORDS: usize = 48;

/// The last readable text of some bytes, without anything in it that could itself be a secret.
pub(super) fn readable(bytes: &[u8]) -> Option<String> {
    let mut runs = bytes.split(|byte| !(b' '..=b'~').contains(byte));
    let run = runs.rfind(|run| run.iter().filter(|byte| byte.is_ascii_alphabetic()).count() >= 6)?;
    let run = &run[run.len().saturating_sub(2 * WORDS)..];
    let text: String = run.iter().map(|byte| char::from(*byte)).collect();
    let words: Vec<String> = text.split_whitespace().map(masked).collect();
    let words = words.join(" ");
    let cut = words.len().saturating_sub(WORDS);
    let words = words.get(cut..).unwrap_or(&words).trim();
    (!words.is_empty()).then(|| format!("after the text {words:?}"))
}

/// A word that looks made by chance, or that a value follows, keeps its beginning alone.
fn masked(word: &str) -> String {
    let odd = word.len() >= 16 && word.bytes().any(|byte| byte.is_ascii_digit());
    match word.find(['=', ':']).filter(|at| at + 1 < word.len()) {
        Some(at) => format!("{}…", word.get(..=at).unwrap_or_default()),
        None if odd => format!("{}…", word.get(..4).unwrap_or_default()),
        None => word.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_and_values_are_not() {
        let told = |text: &str| readable(text.as_bytes()).unwrap_or_default();
        assert_eq!(told("\0\0wifi.conf\n"), "after the text \"wifi.conf\"");
        assert_eq!(told("\0password=hunter2 the key is\n"), "after the text \"password=… the key is\"");
        assert_eq!(told("\0AKIAQ3EGTVX72ZPLMNOP key\0"), "after the text \"AKIA… key\"");
        assert_eq!(told("\0\u{1}\u{2}ab\0"), "");
    }
}
