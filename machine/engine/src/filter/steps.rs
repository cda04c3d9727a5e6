//! A condition's tree to what is evaluated. A tree can come from another process, so nothing about it is taken for
//! granted.

use super::{Expression, Operand};
use crate::json::{Number, Scalar};
use machine_protocol::filter::{self, Step};

/// Expressions within each other at most: evaluating one takes stack.
const DEEPEST: usize = 600;

/// The expression of steps in postfix order.
///
/// # Errors
/// If they make none, or one that is too deep: why.
pub(super) fn expression(steps: Vec<Step>, names: usize) -> Result<Expression, String> {
    // Each with its depth.
    let mut stack: Vec<(Expression, usize)> = Vec::new();
    let missing = || "a step of the condition has too few results before it".to_owned();
    let operand = |one| operand(one, names);
    for step in steps {
        let joined = match step {
            Step::Compare(a, comparison, b) => (Expression::Compare(operand(a)?, comparison, operand(b)?), 1),
            Step::Like { operand: of, pattern, ignores_case } => {
                let pattern = if ignores_case { pattern.to_lowercase() } else { pattern };
                (Expression::Like { operand: operand(of)?, pattern, small: ignores_case }, 1)
            }
            Step::In(of, list) => {
                (Expression::In(operand(of)?, list.into_iter().map(operand).collect::<Result<_, _>>()?), 1)
            }
            Step::IsNull(of) => (Expression::IsNull(operand(of)?), 1),
            Step::IsTrue(of) => (Expression::Holds(operand(of)?), 1),
            Step::Not => {
                let (one, depth) = stack.pop().ok_or_else(missing)?;
                (Expression::Not(Box::new(one)), depth + 1)
            }
            Step::And(count) => together(&mut stack, count, Expression::And).ok_or_else(missing)?,
            Step::Or(count) => together(&mut stack, count, Expression::Or).ok_or_else(missing)?,
            other => return Err(format!("this engine does not know {other:?} in a condition")),
        };
        if joined.1 > DEEPEST {
            return Err(format!("more than {DEEPEST} expressions within each other"));
        }
        stack.push(joined);
    }
    match (stack.pop(), stack.is_empty()) {
        (Some((expression, _)), true) => Ok(expression),
        _ => Err("the steps of the condition leave no single result".to_owned()),
    }
}

/// The last so many, joined; `None` if there are fewer.
fn together(
    stack: &mut Vec<(Expression, usize)>,
    count: usize,
    join: fn(Vec<Expression>) -> Expression,
) -> Option<(Expression, usize)> {
    let links = stack.split_off(stack.len().checked_sub(count)?);
    let depth = links.iter().map(|(_, depth)| *depth).max()?;
    Some((join(links.into_iter().map(|(link, _)| link).collect()), depth + 1))
}

fn operand(operand: filter::Operand, names: usize) -> Result<Operand, String> {
    Ok(match operand {
        filter::Operand::Name(at) if at < names => Operand::Name(at),
        filter::Operand::Name(at) => return Err(format!("the condition has no name number {at}")),
        filter::Operand::Null => Operand::Literal(Scalar::Null),
        filter::Operand::Bool(value) => Operand::Literal(Scalar::Bool(value)),
        filter::Operand::Text(text) => Operand::Literal(Scalar::Text(text.into())),
        filter::Operand::Number(digits) => {
            let number = Number::new(&digits).ok_or_else(|| format!("`{digits}` is no number that a condition has"))?;
            Operand::Literal(Scalar::Number(number.into_owned()))
        }
        other => return Err(format!("this engine does not know {other:?} in a condition")),
    })
}

#[cfg(test)]
mod tests {
    use super::expression;
    use machine_protocol::filter::{Operand, Step};

    #[test]
    fn steps_that_make_no_expression_are_refused() {
        let is_true = || Step::IsTrue(Operand::Name(0));
        for (steps, names) in [
            (Vec::new(), 0),
            (vec![is_true()], 0),
            (vec![is_true(), is_true()], 1),
            (vec![Step::Not], 1),
            (vec![is_true(), Step::And(0)], 1),
            (vec![is_true(), Step::Or(2)], 1),
            (vec![is_true(), Step::Or(usize::MAX)], 1),
            (vec![Step::IsTrue(Operand::Number("inf".to_owned()))], 0),
            (std::iter::once(is_true()).chain(std::iter::repeat_n(Step::Not, 100_000)).collect(), 1),
        ] {
            assert!(expression(steps, names).is_err());
        }
        assert!(expression(vec![is_true(), is_true(), Step::And(2), Step::Not], 1).is_ok());
    }
}
