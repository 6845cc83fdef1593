//! Data plane.
fn main() {}
