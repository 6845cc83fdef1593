//! Text that must not be seen by chance.

use std::fmt;

/// A token, a secret key or a password in clear. Prints as nothing; only
/// [`Secret::reveal`] has the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret of this text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// `N` random bytes in hexadecimal.
    #[must_use]
    pub fn random<const N: usize>() -> Self {
        let mut bytes = [0; N];
        getrandom::fill(&mut bytes).expect("getrandom(2) does not fail once the kernel has booted");
        Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_random_and_shows_only_on_demand() {
        let secret = Secret::random::<32>();
        assert_eq!(secret.reveal().len(), 64);
        assert_ne!(secret, Secret::random::<32>());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
    }
}
