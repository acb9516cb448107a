//! The log: where it goes and in which form. It goes to standard error; standard output is for answers.

use tracing_subscriber::{EnvFilter, fmt, prelude::*};

/// In which form lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts the log. `default` is the filter where `RUST_LOG` says nothing; `RUST_LOG` itself is read only
/// when `environment` allows it. A second start changes nothing.
pub fn start(format: LogFormat, default: &str, environment: bool) {
    let named = if environment { std::env::var("RUST_LOG").ok() } else { None };
    let named = named.filter(|filter| !filter.is_empty()).unwrap_or_else(|| default.to_owned());
    let filter = EnvFilter::try_new(&named).unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    // The text form leaves hostile control characters escaped: fields are written with Debug or JSON.
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let started = match format {
        LogFormat::Text => {
            registry.with(fmt::layer().with_ansi(colours).with_writer(std::io::stderr)).try_init()
        }
        LogFormat::Json => {
            registry.with(fmt::layer().json().with_writer(std::io::stderr)).try_init()
        }
    };
    // An error means that a log was started before: that one stays.
    drop(started);
}
