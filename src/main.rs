//! Parse arguments, call one command, map what came of it to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    patwarden::cli::main()
}
