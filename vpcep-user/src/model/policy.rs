//! Endpoint policies: what an endpoint's users may do at the service behind it.
//!
//! vpcep keeps a policy and shows it. It speaks of actions on resources, which a
//! packet does not show: to enforce it is the service's part.
//!
//! Source: Huawei VPCEP API reference, `policy_statement` and `policy_document`.

use serde_json::{Map, Value};

use super::ModelError;

/// Most statements of one policy.
pub const MAX_STATEMENTS: usize = 10;
/// Most bytes of one policy, as JSON.
pub const MAX_POLICY_BYTES: usize = 20_480;
/// How deep objects and lists of one policy may lie in each other. Readers of JSON
/// stop at some depth, and a policy lies deeper in a record than in a request.
pub const MAX_POLICY_DEPTH: usize = 32;

/// Whether a statement grants or denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyEffect {
    /// What it names is allowed.
    Allow,
    /// What it names is denied.
    Deny,
}

impl PolicyEffect {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "Allow",
            Self::Deny => "Deny",
        }
    }
}

impl std::str::FromStr for PolicyEffect {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        match text {
            "Allow" => Ok(Self::Allow),
            "Deny" => Ok(Self::Deny),
            _ => Err(bad(format!("Effect \"{text}\", expected Allow or Deny"))),
        }
    }
}

fn bad(problem: String) -> ModelError {
    ModelError::Policy { problem }
}

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyStatement {
    /// Whether it grants or denies.
    pub effect: PolicyEffect,
    /// Actions of the service it is about.
    pub actions: Vec<String>,
    /// Resources of the service it is about.
    pub resources: Vec<String>,
    /// When it counts, in the service's words.
    pub condition: Option<Map<String, Value>>,
    /// Its name.
    pub sid: Option<String>,
}

/// The policy of an endpoint. One that says nothing allows everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    statements: Vec<PolicyStatement>,
    document: Option<Map<String, Value>>,
}

impl Policy {
    /// A policy of statements, of a document, or of both.
    ///
    /// # Errors
    /// When there are too many statements, one names no action, no resource or
    /// an empty one, or all of it is too long or too deep.
    pub fn new(
        statements: Vec<PolicyStatement>,
        document: Option<Map<String, Value>>,
    ) -> Result<Self, ModelError> {
        if statements.len() > MAX_STATEMENTS {
            return Err(bad(format!(
                "{} entries in policy_statement, expected at most {MAX_STATEMENTS}",
                statements.len()
            )));
        }
        let document = document.filter(|document| !document.is_empty());
        let mut bytes = document.as_ref().map_or(0, json_len);
        for (index, statement) in statements.iter().enumerate() {
            for (field, list) in [("Action", &statement.actions), ("Resource", &statement.resources)] {
                if list.is_empty() || list.iter().any(String::is_empty) {
                    return Err(bad(format!(
                        "policy_statement[{index}].{field} is empty or has an empty entry"
                    )));
                }
                bytes += list.iter().map(String::len).sum::<usize>();
            }
            bytes += statement.condition.as_ref().map_or(0, json_len);
            bytes += statement.sid.as_ref().map_or(0, String::len);
        }
        let conditions = statements.iter().filter_map(|statement| statement.condition.as_ref());
        let depth = document.iter().chain(conditions).map(|object| depth(&mut object.values())).max();
        if let Some(depth) = depth.filter(|depth| *depth > MAX_POLICY_DEPTH) {
            return Err(bad(format!(
                "objects and lists in each other {depth} deep, expected at most {MAX_POLICY_DEPTH}"
            )));
        }
        if bytes > MAX_POLICY_BYTES {
            return Err(bad(format!("{bytes} bytes, expected at most {MAX_POLICY_BYTES}")));
        }
        Ok(Self { statements, document })
    }

    /// Its statements, at most [`MAX_STATEMENTS`].
    #[must_use]
    pub fn statements(&self) -> &[PolicyStatement] {
        &self.statements
    }

    /// Its document, when it has one.
    #[must_use]
    pub fn document(&self) -> Option<&Map<String, Value>> {
        self.document.as_ref()
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty() && self.document.is_none()
    }
}

fn json_len(object: &Map<String, Value>) -> usize {
    serde_json::to_string(object).map_or(0, |text| text.len())
}

/// How deep an object or a list of these values is: one that holds no other is 1.
fn depth(values: &mut dyn Iterator<Item = &Value>) -> usize {
    let inner = values.map(|value| match value {
        Value::Object(object) => depth(&mut object.values()),
        Value::Array(list) => depth(&mut list.iter()),
        _ => 0,
    });
    1 + inner.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statement(action: &str) -> PolicyStatement {
        PolicyStatement {
            effect: PolicyEffect::Allow,
            actions: vec![action.into()],
            resources: vec!["obs:*:*:object:b/*".into()],
            condition: None,
            sid: None,
        }
    }

    #[test]
    fn policies_have_bounds() {
        let document = |len: usize| {
            let mut map = Map::new();
            map.insert("Note".into(), "x".repeat(len).into());
            Some(map)
        };
        let nested = |depth| {
            let innermost = Value::Array(vec![]);
            let value = (1..depth).fold(innermost, |inner, _| Value::Array(vec![inner]));
            Some(Map::from_iter([("Note".to_owned(), value)]))
        };
        let conditional =
            |depth| Policy::new(vec![PolicyStatement { condition: nested(depth), ..statement("a") }], None);
        let no_action = PolicyStatement { actions: vec![], ..statement("a") };
        for (what, policy, ok) in [
            ("nothing", Policy::new(vec![], None), true),
            ("ten statements", Policy::new(vec![statement("a"); 10], None), true),
            ("eleven", Policy::new(vec![statement("a"); 11], None), false),
            ("no action", Policy::new(vec![no_action], None), false),
            ("an empty action", Policy::new(vec![statement("")], None), false),
            ("a document", Policy::new(vec![], document(20_000)), true),
            ("a long document", Policy::new(vec![], document(20_480)), false),
            ("a deep document", Policy::new(vec![], nested(31)), true),
            ("a deeper document", Policy::new(vec![], nested(32)), false),
            ("a deep condition", conditional(31), true),
            ("a deeper condition", conditional(32), false),
            ("a long statement", Policy::new(vec![statement(&"a".repeat(20_480))], None), false),
        ] {
            assert_eq!(policy.is_ok(), ok, "{what}: {policy:?}");
        }
    }

    #[test]
    fn a_policy_that_says_nothing_is_none() {
        assert!(Policy::new(vec![], Some(Map::new())).unwrap().is_empty());
        assert!(!Policy::new(vec![statement("a")], None).unwrap().is_empty());
    }

    #[test]
    fn effects_are_spelled_one_way() {
        for (text, ok) in [("Allow", true), ("Deny", true), ("allow", false), ("", false)] {
            assert_eq!(text.parse::<PolicyEffect>().is_ok(), ok, "{text}");
        }
    }
}
