//! Build, lint, test and demo commands.
fn main() {}
