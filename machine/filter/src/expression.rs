//! The parser's expression to the tree that an engine evaluates.

use crate::tokens::{DEEPEST, OPERAND, Tokens, too_deep};
use crate::{Unreadable, cut, unreadable};
use machine_protocol::filter::{Comparison, Operand, Step, Tree};
use sqlparser::ast::{BinaryOperator, Expr, Ident, Spanned, UnaryOperator, Value};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Token;
use std::collections::HashMap;
use std::ops::Range;

/// Different names at most: each is looked up in each message.
const MOST_NAMES: usize = 1_000;

/// Reads the expression that the tokens are.
pub(crate) fn read(tokens: &Tokens<'_>) -> Result<Tree, Unreadable> {
    let mut parser =
        Parser::new(&GenericDialect).with_recursion_limit(4 * DEEPEST).with_tokens_with_locations(tokens.numbered());
    let expression = parser.parse_expr().map_err(|error| told(error, tokens))?;
    let rest = parser.peek_token();
    if rest.token != Token::EOF {
        let at = number(rest.span.start.column);
        return Err(match rest.token {
            Token::Word(word) if word.value.eq_ignore_ascii_case("not") => {
                tokens.unexpected(at + 1, "like, in or between")
            }
            _ => tokens.unexpected(at, "and, or, or the end"),
        });
    }
    let mut reader = Reader { tokens, names: HashMap::new(), steps: Vec::new() };
    reader.condition(expression)?;
    let mut names: Vec<(Vec<String>, usize)> = reader.names.into_iter().collect();
    names.sort_by_key(|(_, at)| *at);
    Ok(Tree { names: names.into_iter().map(|(name, _)| name).collect(), steps: reader.steps })
}

/// The number of a token, from its column.
fn number(column: u64) -> usize {
    usize::try_from(column).unwrap_or(usize::MAX)
}

/// What the parser says, in words for who writes conditions.
fn told(error: ParserError, tokens: &Tokens<'_>) -> Unreadable {
    let text = match error {
        ParserError::RecursionLimitExceeded => return unreadable(too_deep(), 0..tokens.text.len()),
        ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
    };
    let (message, column) = text.rsplit_once(" at Line: 1, Column: ").unwrap_or((&text, ""));
    let number = column.parse().unwrap_or(tokens.len() + 1);
    let Some((expected, _)) = message.strip_prefix("Expected: ").and_then(|rest| rest.split_once(", found: ")) else {
        return unreadable(message, tokens.place(number));
    };
    let expected = match expected {
        "an expression" | "identifier" => OPERAND,
        ")" => "a )",
        "(" => "a list like ('a', 'b')",
        "IN or BETWEEN after NOT" => "like, in or between",
        "AND" => "and",
        other if other.starts_with("[NOT] NULL") => "null",
        other => other,
    };
    tokens.unexpected(number, expected)
}

struct Reader<'t> {
    tokens: &'t Tokens<'t>,
    /// The number of each name.
    names: HashMap<Vec<String>, usize>,
    steps: Vec<Step>,
}

impl Reader<'_> {
    /// Adds the steps of a condition. As deep as it is in brackets, and no deeper: chains of `and` are taken apart.
    fn condition(&mut self, expression: Expr) -> Result<(), Unreadable> {
        let place = self.place(&expression);
        let (step, negated) = match expression {
            Expr::Nested(inner) => return self.condition(*inner),
            Expr::BinaryOp { op: BinaryOperator::And, .. } => {
                (Step::And(self.chain(expression, &BinaryOperator::And)?), false)
            }
            Expr::BinaryOp { op: BinaryOperator::Or, .. } => {
                (Step::Or(self.chain(expression, &BinaryOperator::Or)?), false)
            }
            Expr::BinaryOp { left, op, right } => {
                let Some(comparison) = comparison(&op) else {
                    return Err(self.refused(&place, &format!("`{op}` is no comparison of a condition")));
                };
                (Step::Compare(self.operand(*left)?, comparison, self.operand(*right)?), false)
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => {
                self.condition(*expr)?;
                (Step::Not, false)
            }
            Expr::IsNull(operand) => (Step::IsNull(self.operand(*operand)?), false),
            Expr::IsNotNull(operand) => (Step::IsNull(self.operand(*operand)?), true),
            Expr::Like { negated, any: false, expr, pattern, escape_char: None } => {
                (self.like(*expr, *pattern, false)?, negated)
            }
            Expr::ILike { negated, any: false, expr, pattern, escape_char: None } => {
                (self.like(*expr, *pattern, true)?, negated)
            }
            Expr::InList { expr, list, negated } => {
                let operand = self.operand(*expr)?;
                if list.is_empty() {
                    return Err(self.refused(&place, "the list has no value: it is written ('a', 'b')"));
                }
                let list = list.into_iter().map(|one| self.operand(one)).collect::<Result<_, _>>()?;
                (Step::In(operand, list), negated)
            }
            Expr::Between { expr, negated, low, high } => {
                let (operand, low, high) = (self.operand(*expr)?, self.operand(*low)?, self.operand(*high)?);
                self.steps.push(Step::Compare(operand.clone(), Comparison::GreaterOrEqual, low));
                self.steps.push(Step::Compare(operand, Comparison::LessOrEqual, high));
                (Step::And(2), negated)
            }
            operand => {
                let value = match self.operand(operand)? {
                    operand @ (Operand::Name(_) | Operand::Bool(_)) => {
                        self.steps.push(Step::IsTrue(operand));
                        return Ok(());
                    }
                    Operand::Number(value) | Operand::Text(value) => cut(&value),
                    _ => "null".to_owned(),
                };
                return Err(unreadable(format!("`{value}` is no condition: compare it with something"), place));
            }
        };
        self.steps.push(step);
        self.steps.extend(negated.then_some(Step::Not));
        Ok(())
    }

    /// Adds the links of a chain of one operator, which the parser gives as its last link and all before it. Returns how
    /// many there are.
    fn chain(&mut self, expression: Expr, operator: &BinaryOperator) -> Result<usize, Unreadable> {
        let mut links = Vec::new();
        let mut rest = expression;
        loop {
            rest = match rest {
                Expr::BinaryOp { left, op, right } if op == *operator => {
                    links.push(*right);
                    *left
                }
                first => {
                    links.push(first);
                    break;
                }
            };
        }
        let count = links.len();
        links.into_iter().rev().try_for_each(|link| self.condition(link))?;
        Ok(count)
    }

    fn like(&mut self, operand: Expr, pattern: Expr, ignores_case: bool) -> Result<Step, Unreadable> {
        let number = number(pattern.span().start.column);
        let operand = self.operand(operand)?;
        match self.operand(pattern)? {
            Operand::Text(pattern) => Ok(Step::Like { operand, pattern, ignores_case }),
            _ => Err(self.tokens.unexpected(number, "'text'")),
        }
    }

    fn operand(&mut self, expression: Expr) -> Result<Operand, Unreadable> {
        let place = self.place(&expression);
        match expression {
            Expr::Nested(inner) => self.operand(*inner),
            Expr::Identifier(name) => self.name(vec![name], place),
            Expr::CompoundIdentifier(parts) => self.name(parts, place),
            Expr::UnaryOp { op: UnaryOperator::Minus, expr } => {
                match self.operand(*expr)? {
                    Operand::Number(digits) => Ok(Operand::Number(match digits.strip_prefix('-') {
                        Some(positive) => positive.to_owned(),
                        None => format!("-{digits}"),
                    })),
                    _ => Err(self
                        .refused(&place, "`-` calculates: a condition compares values as they are, %sql calculates")),
                }
            }
            Expr::Value(value) => match value.value {
                Value::Null => Ok(Operand::Null),
                Value::Boolean(value) => Ok(Operand::Bool(value)),
                Value::Number(digits, _) => Ok(Operand::Number(digits)),
                Value::SingleQuotedString(text) => Ok(Operand::Text(text)),
                _ => Err(self.refused(&place, "text is written 'text'")),
            },
            other => Err(self.refused(&place, &refusal(&other))),
        }
    }

    fn name(&mut self, parts: Vec<Ident>, place: Range<usize>) -> Result<Operand, Unreadable> {
        let path: Vec<String> = parts.into_iter().map(|part| part.value).collect();
        let at = self.names.len();
        if at >= MOST_NAMES && !self.names.contains_key(&path) {
            return Err(unreadable(format!("more than {MOST_NAMES} different names"), place));
        }
        Ok(Operand::Name(*self.names.entry(path).or_insert(at)))
    }

    /// Where an expression stands in the text, as far as the parser tells.
    fn place(&self, expression: &Expr) -> Range<usize> {
        let span = expression.span();
        if span.start.column == 0 {
            return 0..self.tokens.text.len();
        }
        self.tokens.between(number(span.start.column), number(span.end.column))
    }

    fn refused(&self, place: &Range<usize>, why: &str) -> Unreadable {
        let before = cut(self.tokens.text.get(..place.start).unwrap_or_default().trim());
        let why = if before.is_empty() { why.to_owned() } else { format!("after `{before}`: {why}") };
        unreadable(why, place.clone())
    }
}

fn comparison(operator: &BinaryOperator) -> Option<Comparison> {
    Some(match operator {
        BinaryOperator::Eq => Comparison::Equal,
        BinaryOperator::NotEq => Comparison::NotEqual,
        BinaryOperator::Lt => Comparison::Less,
        BinaryOperator::LtEq => Comparison::LessOrEqual,
        BinaryOperator::Gt => Comparison::Greater,
        BinaryOperator::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

/// What an expression is that no condition has, and what there is in its place.
fn refusal(expression: &Expr) -> String {
    match expression {
        Expr::Function(function) => {
            return format!("`{}(…)` is a function: a condition has none, %sql has", function.name);
        }
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
            "a query within a condition: write %sql SELECT … instead"
        }
        Expr::Case { .. } => "`case` chooses a value: join conditions with and, or and not",
        Expr::Cast { .. } | Expr::Convert { .. } => {
            "`cast` converts a value: a condition compares values as they are, %sql converts"
        }
        Expr::Interval(_) | Expr::TypedString(_) | Expr::AtTimeZone { .. } | Expr::Extract { .. } => {
            "times are numbers or texts of the message: compare them as they are"
        }
        Expr::IsTrue(_) | Expr::IsNotFalse(_) => "`is true` is written as the name alone",
        Expr::IsFalse(_) | Expr::IsNotTrue(_) => "`is false` is written with not before the name",
        Expr::IsUnknown(_) | Expr::IsNotUnknown(_) => "`is unknown` is written is null",
        Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..) => {
            "`is distinct from` is written with =, != and is null"
        }
        Expr::Like { any: true, .. } | Expr::ILike { any: true, .. } | Expr::AnyOp { .. } | Expr::AllOp { .. } => {
            "`any` and `all` are written with or and and"
        }
        Expr::Like { .. } | Expr::ILike { .. } => "`like` has no escape: _ stands for any character",
        Expr::SimilarTo { .. } | Expr::RLike { .. } => "regular expressions: there is like, and ilike",
        Expr::Collate { .. } => "`collate`: texts are compared by their characters; ilike ignores case",
        Expr::Tuple(_) => "a list stands after in alone",
        Expr::BinaryOp { .. }
        | Expr::UnaryOp { .. }
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::InList { .. }
        | Expr::Between { .. } => "a condition stands where a value is compared: join conditions with and and or",
        _ => "SQL that no condition has: there is =, !=, <, <=, >, >=, like, in, between, is null, and, or, not",
    }
    .to_owned()
}
