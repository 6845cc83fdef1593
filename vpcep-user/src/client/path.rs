//! Paths of the API, from parts that may contain anything.

/// Path and query of a request, percent-encoded as it is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    text: String,
    has_query: bool,
}

impl Path {
    /// A path of these segments; each may contain any character.
    pub fn new(segments: &[&str]) -> Self {
        let text = segments.iter().map(|segment| format!("/{}", percent_encode(segment))).collect();
        Self { text, has_query: false }
    }

    /// The path as a request has it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same path with one more query parameter.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.text.push(if self.has_query { '&' } else { '?' });
        self.text.push_str(&format!("{}={}", percent_encode(name), percent_encode(value)));
        self.has_query = true;
        self
    }
}

/// Encodes all but the unreserved characters of RFC 3986, section 2.3.
fn percent_encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
