//! `vpcep completions` and `vpcep man`: what shells and man(1) know of the
//! programs, from the definitions that parse their arguments.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;
use clap_mangen::Man;
use serde_json::json;

use super::Cli;
use super::output::Answer;
use crate::config::Flags;

/// Section of manual pages for daemons.
const DAEMONS: &str = "8";

/// A program of this package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Program {
    /// The command line
    #[default]
    Vpcep,
    /// The controller
    Vpcepd,
}

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  vpcep completions bash > /usr/share/bash-completion/completions/vpcep
  vpcep completions zsh > \"${fpath[1]}/_vpcep\"")]
pub struct CompletionsArgs {
    /// For which shell
    #[arg(value_enum)]
    shell: Shell,
    /// Of which program
    #[arg(value_enum, default_value_t)]
    program: Program,
}

impl CompletionsArgs {
    /// The script.
    pub fn run(self) -> Answer {
        let (mut command, name) = match self.program {
            Program::Vpcep => (Cli::command(), "vpcep"),
            Program::Vpcepd => (Flags::command(), "vpcepd"),
        };
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, name, &mut script);
        let script = String::from_utf8(script).expect("help texts are UTF-8");
        Answer::said(json!({ "script": script }), script)
    }
}

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// Where to write them; there are man(1) pages of vpcep, one a command, and vpcepd(8)
    directory: PathBuf,
}

impl ManArgs {
    /// Writes the pages.
    ///
    /// # Errors
    /// When the directory cannot be made or written.
    pub fn run(self) -> Result<Answer> {
        let written = write_pages(&self.directory);
        written.with_context(|| format!("cannot write manual pages to {}", self.directory.display()))?;
        let directory = self.directory.display().to_string();
        Ok(Answer::said(json!({ "directory": directory }), format!("wrote manual pages to {directory}")))
    }
}

fn write_pages(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    clap_mangen::generate_to(Cli::command(), directory)?;
    Man::new(Flags::command()).section(DAEMONS).generate_to(directory)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::Format;

    #[test]
    fn every_shell_completes_the_commands_of_vpcep_and_the_flags_of_vpcepd() {
        for &shell in Shell::value_variants() {
            for (program, word) in [(Program::Vpcep, "disallow"), (Program::Vpcepd, "snat-range")] {
                let script = CompletionsArgs { shell, program }.run().render(Format::Table, Some(10));
                assert!(script.contains(word), "{shell} {program:?}");
            }
        }
    }

    #[test]
    fn every_command_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        ManArgs { directory: dir.path().join("man") }.run().unwrap();
        let pages: Vec<String> = std::fs::read_dir(dir.path().join("man"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        fn check(command: &clap::Command, name: &str, pages: &[String]) {
            assert!(pages.contains(&format!("{name}.1")), "{name}: {pages:?}");
            for sub in command.get_subcommands() {
                check(sub, &format!("{name}-{}", sub.get_name()), pages);
            }
        }
        check(&Cli::command(), "vpcep", &pages);
        assert!(pages.contains(&"vpcepd.8".to_owned()), "{pages:?}");
        let page = std::fs::read_to_string(dir.path().join("man/vpcep-service-create.1")).unwrap();
        assert!(page.contains("CLIENT:SERVER"), "{page}");
    }
}
