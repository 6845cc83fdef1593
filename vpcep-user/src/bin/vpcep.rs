//! The command line: hands the arguments to [`vpcep::cli`] and returns its exit
//! code.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    vpcep::cli::run(std::env::args_os()).await
}
