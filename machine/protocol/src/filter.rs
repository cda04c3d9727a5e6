//! Conditions on messages: as text, or as the tree that `machine-filter` makes of it.

use serde::{Deserialize, Serialize};

/// A condition. An engine reads one that is a text only if its program has a parser; a tree needs none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Filter {
    /// `polarity < -0.5 and in.lang = 'en'`; empty for each message.
    Text(String),
    /// A text that was parsed.
    Tree(Tree),
}

impl Filter {
    /// Whether it says nothing: each message is meant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.trim().is_empty())
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl From<&str> for Filter {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// An expression in postfix order: each step is a comparison, or joins the results of the steps before it. However deep
/// the expression is, a list is not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// The names in it, each once, as the parts that dots separate.
    pub names: Vec<Vec<String>>,
    /// What is to be done; one result is left at the end.
    pub steps: Vec<Step>,
}

/// One step of an expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Step {
    /// Compares two values.
    Compare(Operand, Comparison, Operand),
    /// Compares a text with a pattern: `%` stands for any text, `_` for one character.
    Like {
        /// The text.
        operand: Operand,
        /// The pattern.
        pattern: String,
        /// Whether capital and small letters are the same.
        ignores_case: bool,
    },
    /// Looks for a value in a list.
    In(Operand, Vec<Operand>),
    /// Whether a value is missing or null.
    IsNull(Operand),
    /// Whether a value is `true`.
    IsTrue(Operand),
    /// Negates the last result.
    Not,
    /// Whether all of the last so many results are true.
    And(usize),
    /// Whether any of the last so many results is true.
    Or(usize),
}

/// A value in a condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operand {
    /// The name at this place in [`Tree::names`].
    Name(usize),
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number as JSON has it.
    Number(String),
    /// A text.
    Text(String),
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}
