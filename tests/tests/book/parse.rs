//! Fenced blocks of a Markdown document, and the comparison of what was shown with what was printed.

/// A fenced block.
#[derive(Debug, PartialEq)]
pub(super) struct Block {
    /// First word after the fence.
    pub(super) language: String,
    /// Why it isn't run.
    pub(super) ignored: Option<String>,
    /// Line of the fence, from 1.
    pub(super) line: usize,
    pub(super) code: String,
    /// The `text` block that follows it with nothing but blank lines between.
    pub(super) expected: Option<String>,
}

/// All fenced blocks in their order. A fence may be indented, as in a list: its indentation is taken off the code.
pub(super) fn blocks(markdown: &str) -> Vec<Block> {
    let mut found: Vec<Block> = Vec::new();
    let mut adjacent = false;
    let mut lines = markdown.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let indentation = line.len() - line.trim_start().len();
        let Some(info) = line.trim_start().strip_prefix("```") else {
            adjacent &= line.trim().is_empty();
            continue;
        };
        let mut code = String::new();
        let closed = lines.by_ref().map(|(_, line)| line).any(|line| {
            let end = line.trim() == "```";
            if !end {
                code.push_str(line.get(indentation..).unwrap_or(line.trim_start()));
                code.push('\n');
            }
            end
        });
        assert!(closed, "the block at line {} has no end", at + 1);
        let language = info.split_whitespace().next().unwrap_or_default().to_owned();
        match found.last_mut() {
            Some(before) if adjacent && language == "text" && before.language == "sh" => {
                before.expected = Some(code);
                adjacent = false;
            }
            _ => {
                let ignored = info
                    .split_once("ignore-reason=\"")
                    .and_then(|(_, rest)| rest.split_once('"'))
                    .map(|(reason, _)| reason.to_owned());
                found.push(Block { language, ignored, line: at + 1, code, expected: None });
                adjacent = true;
            }
        }
    }
    found
}

/// The first of the expected lines that doesn't appear after the ones before it; blank lines count for nothing.
pub(super) fn first_line_missing<'e>(expected: &'e str, printed: &str) -> Option<&'e str> {
    let mut printed = printed.lines();
    expected
        .lines()
        .filter(|line| !line.trim().is_empty() && line.trim() != "…")
        .find(|line| !printed.by_ref().any(|candidate| matches(line, candidate)))
}

/// Whether a printed line has the expected one in it, `…` standing for anything.
fn matches(expected: &str, printed: &str) -> bool {
    let mut rest = printed;
    expected.trim().split('…').all(|part| match rest.split_once(part) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_takes_the_text_that_follows_it() {
        let found = blocks(
            "a\n```sh\necho 1\n```\n\n```text\n1\n```\n- b\n  ```sh ignore-reason=\"no terminal\"\n  x\n  ```\nwords\n```text\n2\n```\n",
        );
        assert_eq!(found.len(), 3);
        assert_eq!((found[0].line, found[0].code.as_str()), (2, "echo 1\n"));
        assert_eq!(found[0].expected.as_deref(), Some("1\n"));
        assert_eq!(found[1].ignored.as_deref(), Some("no terminal"));
        assert_eq!((found[1].code.as_str(), &found[1].expected), ("x\n", &None));
        assert_eq!(found[2].language, "text");
    }

    #[test]
    fn an_ellipsis_stands_for_anything() {
        for (expected, printed, same) in [
            ("a b", "x a b y", true),
            ("  a b", "a b", true),
            ("a b", "a x b", false),
            ("a … c", "a b b c", true),
            ("a … c", "a b b d", false),
            ("a … b … c", "x a x b y b z c", true),
            ("a … c … b … d", "a x b y c z d", false),
            ("aba…aba", "aba", false),
        ] {
            assert_eq!(matches(expected, printed), same, "{expected} {printed}");
        }
    }

    #[test]
    fn expected_lines_appear_in_their_order() {
        assert_eq!(first_line_missing("a\n…\nc\n", "a\nb\nc\n"), None);
        assert_eq!(first_line_missing("c\na\n", "a\nb\nc\n"), Some("a"));
        assert_eq!(first_line_missing("d\n", "a\n"), Some("d"));
    }
}
