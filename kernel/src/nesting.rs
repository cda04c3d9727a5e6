//! How deep and how long a text of Rust may be before a parser sees it.
//!
//! A parser calls itself for each bracket and each operator, and so does whatever walks or drops its tree: no stack is
//! deep enough for any text. So tokens are counted first, by the lexer, which needs no stack. The depth of a tree is at
//! most the number of tokens of a statement, those of the statements around it included: a bound that no hand-written
//! code comes near to, and that holds for operators as for brackets. Some parsers also take time that grows with the
//! square of a statement's length.

use ra_ap_parser::LexedStr;
use ra_ap_syntax::{Edition, SyntaxKind};

/// How many brackets may be open at a place.
const MOST_BRACKETS: usize = 200;
/// How many tokens a statement may have without a `;` or `,`, those around it included.
const MOST_IN_STATEMENT: usize = 3_000;
/// How many tokens a text may have.
const MOST_TOKENS: usize = 500_000;
/// A stack on which all that is within these bounds can be parsed, walked and dropped.
pub const PARSER_STACK: usize = 64 << 20;

/// Why a text is not parsed. One line: what it has, where, how much is accepted, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooComplex {
    /// Too many brackets are open.
    #[error("line {line}: more than {MOST_BRACKETS} brackets are open; move the inner ones to functions")]
    Brackets {
        /// Where the first one too many is, counting from 1.
        line: usize,
    },
    /// A statement is too long.
    #[error(
        "line {line}: a statement has more than {MOST_IN_STATEMENT} tokens without a `;` or `,`; \
         split it into several statements"
    )]
    Statement {
        /// Where the first token too many is, counting from 1.
        line: usize,
    },
    /// There are too many tokens.
    #[error("{tokens} tokens; at most {MOST_TOKENS} are accepted: split the cell, or read data from a file")]
    Tokens {
        /// How many there are.
        tokens: usize,
    },
}

/// Whether a text can be parsed safely.
///
/// # Errors
/// Why not.
pub fn check(code: &str) -> Result<(), TooComplex> {
    check_lexed(&LexedStr::new(Edition::Edition2024, code))
}

/// As [`check`], of a text that the lexer has read.
///
/// # Errors
/// Why not.
pub fn check_lexed(lexed: &LexedStr<'_>) -> Result<(), TooComplex> {
    if lexed.len() > MOST_TOKENS {
        return Err(TooComplex::Tokens { tokens: lexed.len() });
    }
    // The tokens of the statement that goes on at each level, and their sum.
    let (mut levels, mut sum) = (vec![0_usize], 0);
    let mut after_block = false;
    for at in 0..lexed.len() {
        let kind = lexed.kind(at);
        if kind.is_trivia() {
            continue;
        }
        let line = || 1 + lexed.as_str().get(..lexed.text_start(at)).map_or(0, |before| before.matches('\n').count());
        let is_close = matches!(kind, SyntaxKind::R_PAREN | SyntaxKind::R_BRACK | SyntaxKind::R_CURLY);
        if is_close && levels.len() > 1 {
            sum -= levels.pop().unwrap_or_default();
        }
        let Some(level) = levels.last_mut() else { return Ok(()) };
        if matches!(kind, SyntaxKind::SEMICOLON | SyntaxKind::COMMA) || after_block && begins_statement(kind) {
            sum -= std::mem::take(level);
        }
        after_block = kind == SyntaxKind::R_CURLY;
        *level += 1;
        sum += 1;
        if sum > MOST_IN_STATEMENT {
            return Err(TooComplex::Statement { line: line() });
        }
        if matches!(kind, SyntaxKind::L_PAREN | SyntaxKind::L_BRACK | SyntaxKind::L_CURLY) {
            levels.push(0);
            if levels.len() > MOST_BRACKETS + 1 {
                return Err(TooComplex::Brackets { line: line() });
            }
        }
    }
    Ok(())
}

/// Whether this token after a block begins another statement or item: what could go on with an expression does not.
fn begins_statement(kind: SyntaxKind) -> bool {
    let goes_on = matches!(kind, SyntaxKind::ELSE_KW | SyntaxKind::AS_KW);
    let begins = matches!(kind, SyntaxKind::IDENT | SyntaxKind::POUND | SyntaxKind::L_CURLY);
    begins || kind.is_keyword(Edition::Edition2024) && !goes_on
}

#[cfg(test)]
mod tests {
    use super::*;
    use ra_ap_syntax::SourceFile;

    #[track_caller]
    fn is_refused(code: &str, expected: &str) {
        assert_eq!(check(code).map_err(|error| error.to_string()), Err(expected.to_owned()));
    }

    #[test]
    fn what_is_too_deep_or_too_long_is_refused() {
        let brackets = "more than 200 brackets are open; move the inner ones to functions";
        for open in ["{", "(", "[", "f(", "&[", "|| {", "if a {"] {
            is_refused(&open.repeat(2_055), &format!("line 1: {brackets}"));
        }
        is_refused(&"[\n".repeat(100_000), &format!("line 201: {brackets}"));
        let statement = "a statement has more than 3000 tokens without a `;` or `,`; split it into several statements";
        for chain in [
            "?",
            "+ ",
            "1 + ",
            "!",
            "&",
            "-",
            ".a()",
            "else if a {} ",
            "|| ",
            "return ",
            "a = ",
            "::a",
            "<",
            "mod a {} + ",
        ] {
            is_refused(&format!("1{}", chain.repeat(20_000)), &format!("line 1: {statement}"));
        }
        // Each level within the bound, together not.
        is_refused(&"f(1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + 1 + ".repeat(199), &format!("line 1: {statement}"));
        is_refused(
            &"1; ".repeat(200_000),
            "600000 tokens; at most 500000 are accepted: split the cell, or read data from a file",
        );
    }

    #[test]
    fn what_people_write_is_not() {
        let functions = "fn f(x: u64) -> u64 { if x > 1 { x } else { 2 } }\n".repeat(5_000);
        let arms = format!("match x {{ {} }}", "A => { 1 } B { x } => { 2 }\n".repeat(3_000));
        let data = format!("vec![{}]", "1.0, ".repeat(50_000));
        let lets = "let a = b.c(|d| d + 1)?;\n".repeat(5_000);
        let comment = format!("/* {} */ // {}", "( [ {".repeat(10_000), "{".repeat(10_000));
        let text = format!("let a = \"{}\";", "{(".repeat(10_000));
        for code in [&functions, &arms, &data, &lets, &comment, &text, "", "}}}", ")]}"] {
            assert_eq!(check(code), Ok(()), "{}", &code[..code.len().min(60)]);
        }
    }

    /// The deepest texts that are accepted: parsed, walked and dropped on the stack that they are given.
    #[test]
    fn what_is_accepted_can_be_parsed() {
        let parse = || {
            let opens =
                ["{", "(", "[", "f(", "&[", "|| {", "if a {", "Vec::<[", "mod a {", "use a::{", "match a { b => {"];
            for open in opens {
                let longest = (1..=MOST_BRACKETS).rev().find(|count| check(&open.repeat(*count)).is_ok()).unwrap_or(0);
                assert!(longest >= 90, "{open}: {longest}");
                parse_and_drop(&open.repeat(longest));
            }
            for chain in
                ["?", "+ ", "1 + ", "!", "&", "-", ".a()", "|| ", "return ", "a = ", "::a", "<", "* ", "..", "&& "]
            {
                let one = LexedStr::new(Edition::Edition2024, chain);
                let tokens = (0..one.len()).filter(|at| !one.kind(*at).is_trivia()).count();
                let code = format!("1{}", chain.repeat((MOST_IN_STATEMENT - 1) / tokens));
                assert_eq!(check(&code), Ok(()));
                parse_and_drop(&code);
            }
        };
        std::thread::Builder::new().stack_size(PARSER_STACK).spawn(parse).unwrap().join().unwrap();
    }

    fn parse_and_drop(code: &str) {
        let parsed = SourceFile::parse(&format!("fn cell() {{\n{code}\n}}"), Edition::Edition2024);
        assert!(parsed.syntax_node().descendants_with_tokens().count() > 1);
        let _ = parsed.errors();
    }
}
