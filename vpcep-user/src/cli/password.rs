//! Passwords: asked for on the terminal, or read from standard input.

use std::io::{self, BufRead};

use anyhow::{Context as _, Result, bail};

/// Where a password comes from.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct PasswordArgs {
    /// Read the password from standard input, up to the end of the line, instead of asking for it
    #[arg(long)]
    pub password_stdin: bool,
}

impl PasswordArgs {
    /// The password of somebody who has one.
    ///
    /// # Errors
    /// When none can be read.
    pub fn read(self, prompt: &str) -> Result<String> {
        let password = match self.password_stdin {
            true => line(&mut io::stdin().lock()),
            false => rpassword::prompt_password(format!("{prompt}: ")).map_err(Into::into),
        };
        password.context("cannot read the password: give it on a terminal, or with --password-stdin")
    }

    /// A new password, asked for twice.
    ///
    /// # Errors
    /// When none can be read, or the two differ.
    pub fn read_new(self, prompt: &str) -> Result<String> {
        let password = self.read(prompt)?;
        if !self.password_stdin && self.read("The same again")? != password {
            bail!("the passwords differ, nothing was changed");
        }
        Ok(password)
    }
}

/// A password given as a line; its end is not part of it.
fn line(input: &mut impl BufRead) -> Result<String> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let password = line.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        bail!("it is empty");
    }
    Ok(password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_of_its_input() {
        for (input, password) in
            [("a b\n", Some("a b")), ("x\r\ny\n", Some("x")), ("x", Some("x")), ("\n", None), ("", None)]
        {
            assert_eq!(line(&mut input.as_bytes()).ok().as_deref(), password, "{input:?}");
        }
    }
}
