//! Is there such a test in this source text?
//!
//! Reading text cannot see through every macro. `cargo xtask test` therefore also checks that each
//! named test was among those that ran and passed.

#![expect(clippy::arithmetic_side_effects, reason = "offsets inside one source file")]

/// What a source text says about a test's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A test that runs.
    Test,
    /// A test that does not run by itself.
    Ignored,
    /// A function, but not a test.
    Function,
    /// No such function.
    Nothing,
}

/// Looks for the test `name` in `source`, blanked by [`code_only`].
pub fn find(source: &str, name: &str) -> Found {
    let mut best = Found::Nothing;
    for (at, _) in source.match_indices("fn ") {
        let (before, after) = (source.get(..at).unwrap_or(""), source.get(at..).unwrap_or(""));
        let after = after.trim_start_matches("fn ").trim_start();
        let rest = after.strip_prefix(name);
        if !rest.is_some_and(|rest| rest.trim_start().starts_with(['(', '<'])) {
            continue;
        }
        // What stands between the previous item and this one: its attributes.
        let attributes = before.rsplit([';', '{', '}']).next().unwrap_or("");
        let found = if !attributes.contains("test]") && !attributes.contains("test(") {
            Found::Function
        } else if attributes.contains("ignore") {
            Found::Ignored
        } else {
            return Found::Test;
        };
        if best != Found::Ignored {
            best = found;
        }
    }
    best
}

/// The names of the macros that `source` calls.
pub fn macros_called(source: &str) -> Vec<&str> {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let calls = source.match_indices('!').filter_map(|(at, _)| {
        let before = source.get(..at)?;
        before.rsplit(|c| !word(c)).next().filter(|name| !name.is_empty())
    });
    calls.filter(|name| *name != "macro_rules").collect()
}

/// The source with comments and the insides of literals blanked, so that a name in them is none.
pub fn code_only(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let (kept, blanked) = if rest.starts_with("//") {
            ("", rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            ("", block_comment(rest))
        } else if let Some(length) = raw_string(rest, &out) {
            ("\"\"", length)
        } else if first == '"' {
            ("\"\"", quoted(rest, '"'))
        } else if let Some(length) = character(rest) {
            ("''", length)
        } else {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or("");
            continue;
        };
        out.push_str(kept);
        rest = rest.get(blanked..).unwrap_or("");
    }
    out
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0_usize);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a literal that starts with `quote` and ends with the next one not escaped.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return at + 1;
        }
    }
    text.len()
}

/// The length of `r"..."`, `r#"..."#` and so on, unless the `r` ends a longer word.
fn raw_string(text: &str, before: &str) -> Option<usize> {
    let word = before.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next();
    let hashes = text.strip_prefix('r').filter(|_| matches!(word, Some("" | "b" | "c")))?;
    let body = hashes.trim_start_matches('#');
    let count = hashes.len() - body.len();
    let inside = body.strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(count));
    Some(inside.find(&end).map_or(text.len(), |at| 2 + count + at + end.len()))
}

/// The length of a character literal; a lifetime is none.
fn character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    if inside.starts_with('\\') {
        return Some(quoted(text, '\''));
    }
    let c = inside.chars().next()?;
    inside.get(c.len_utf8()..)?.starts_with('\'').then(|| c.len_utf8() + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r##"
        #[test]
        fn plain() { let x = "fn in_a_string() {"; let c = '{'; let l: &'static str = r#"fn raw()"#; }
        // #[test] fn in_a_comment() {}
        #[test]
        #[ignore = "slow"]
        fn put_off() {}
        fn helper() {}
        proptest! {
            #![proptest_config(config())]
            /// A property; with a semicolon.
            #[test]
            fn property(x in 0..3) { }
        }
        /* #[test] /* fn nested() {} */ fn also() {} */
        #[test] fn longer_name() {}
        #[expect(clippy::panic, reason = "it ; must")]
        #[tokio::test]
        async fn with_runtime() {}
    "##;

    #[test]
    fn tells_tests_from_functions_and_from_text() {
        let code = code_only(SOURCE);
        for test in ["plain", "property", "longer_name", "with_runtime"] {
            assert_eq!(find(&code, test), Found::Test, "{test}");
        }
        assert_eq!(find(&code, "put_off"), Found::Ignored);
        assert_eq!(find(&code, "helper"), Found::Function);
        for none in ["in_a_string", "raw", "in_a_comment", "nested", "also", "longer", "name"] {
            assert_eq!(find(&code, none), Found::Nothing, "{none}");
        }
    }

    #[test]
    fn blanking_keeps_the_rest() {
        assert_eq!(code_only("a(b\"x\\\"y\", 'z', '\\'', 'l) // c"), "a(b\"\", '', '', 'l) ");
        assert_eq!(code_only("br#\"a\"b\"# + bar\"x\""), "b\"\" + bar\"\"");
        assert_eq!(code_only("\"unfinished"), "\"\"");
        assert_eq!(code_only("/* unfinished"), "");
    }

    #[test]
    fn sees_macro_calls() {
        assert_eq!(macros_called("testkit::cells_suite!(x); a != b; !c"), ["cells_suite"]);
    }
}
