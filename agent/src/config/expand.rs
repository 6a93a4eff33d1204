//! `${VAR}` in the scalars of configuration files.

use super::finding::Findings;
use super::tree::{Node, Value};

/// Looks up an environment variable.
pub(super) type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Expands every scalar value of the tree. Keys stay as they are.
pub(super) fn expand_tree(node: &mut Node, environment: Environment<'_>, findings: &mut Findings) {
    match &mut node.value {
        Value::Null => {}
        Value::Scalar(scalar) => match expand(&scalar.text, environment, &mut Vec::new()) {
            Ok(text) => scalar.text = text,
            Err(message) => findings.problem(message, Some(&node.position)),
        },
        Value::List(items) => {
            items.iter_mut().for_each(|item| expand_tree(item, environment, findings));
        }
        Value::Map(entries) => entries
            .iter_mut()
            .for_each(|entry| expand_tree(&mut entry.value, environment, findings)),
    }
}

/// Replaces `${VAR}` by its value, which is expanded in turn; `$${` stands for a literal `${`.
///
/// An unset variable is empty. `open` names the variables that are being expanded, outermost first.
fn expand(
    text: &str,
    environment: Environment<'_>,
    open: &mut Vec<String>,
) -> Result<String, String> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        if let Some(after) = rest.strip_prefix("$${") {
            expanded.push_str("${");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let Some((name, after)) = after.split_once('}') else { break };
            if open.iter().any(|outer| outer == name) {
                return Err(format!("the environment variable `{name}` contains itself"));
            }
            if let Some(value) = environment(name) {
                open.push(name.to_string());
                expanded.push_str(&expand(&value, environment, open)?);
                open.pop();
            }
            rest = after;
        } else {
            expanded.push('$');
            rest = &rest[1..];
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let environment = |name: &str| match name {
            "ENV_VAR" => Some("v".to_string()),
            "NESTED" => Some("<${ENV_VAR}>".to_string()),
            "LOOP" => Some("a${LOOP}".to_string()),
            _ => None,
        };
        let expanded = expand(text, &environment, &mut Vec::new());
        assert_eq!(expanded.unwrap_or_else(|message| message), expected);
    }

    /// C18
    #[test]
    fn variables_are_replaced_as_stock_does() {
        check("${ENV_VAR}", "v");
        check("a${ENV_VAR}b${ENV_VAR}", "avbv");
        check("${UNSET}", "");
        check("x${UNSET}y", "xy");
        check("$ENV_VAR", "$ENV_VAR");
        check("$$ENV_VAR", "$$ENV_VAR");
        check("$${ENV_VAR}", "${ENV_VAR}");
        check("$${${ENV_VAR}}", "${v}");
        check("${NESTED}", "<v>");
        check("${NOCLOSE", "${NOCLOSE");
        check("${ENV_VAR}${NOCLOSE", "v${NOCLOSE");
        check("$", "$");
        check("", "");
    }

    #[test]
    fn a_lone_dollar_does_not_end_the_scan() {
        check("a$b ${ENV_VAR}", "a$b v");
    }

    #[test]
    fn a_variable_that_contains_itself_is_an_error() {
        check("${LOOP}", "the environment variable `LOOP` contains itself");
    }
}
