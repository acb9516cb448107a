//! The log: where it goes and in which form. It goes to standard error; standard output is for answers.

use tracing::{Level, Subscriber, subscriber};
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

/// Starts the log. `default` is the filter where `RUST_LOG` says nothing, or nothing that can be used;
/// `RUST_LOG` itself is read only when `environment` allows it. A second start changes nothing.
pub fn start(format: LogFormat, default: &str, environment: bool) {
    let named = std::env::var_os("RUST_LOG").filter(|named| environment && !named.is_empty());
    let named = named.map(|named| named.to_string_lossy().into_owned());
    let filter = match named.as_deref().map(EnvFilter::try_new) {
        None => EnvFilter::new(default),
        Some(Ok(filter)) => {
            warn_if_mute(format, default, named.as_deref().unwrap_or_default());
            filter
        }
        Some(Err(error)) => {
            aside(format, default, || {
                tracing::warn!(RUST_LOG = named, %error, "RUST_LOG cannot be used; `{default}` is used instead");
            });
            EnvFilter::new(default)
        }
    };
    // An error means that a log was started before: that one stays.
    let _ = subscriber::set_global_default(logging(format, filter));
}

/// `RUST_LOG=verbose` is about a module of that name, and hides all else.
fn warn_if_mute(format: LogFormat, default: &str, named: &str) {
    let asked = tracing_subscriber::registry().with(EnvFilter::new(named));
    let errors_are_shown = || {
        tracing::enabled!(target: "patwarden", Level::ERROR)
            || named.trim().eq_ignore_ascii_case("off")
    };
    if !subscriber::with_default(asked, errors_are_shown) {
        aside(format, default, || {
            tracing::warn!(
                RUST_LOG = named,
                "RUST_LOG hides even errors of patwarden. For all of them write `warn,{named}`, for none `off`"
            );
        });
    }
}

/// Says something under the default filter, whatever the log will show.
fn aside(format: LogFormat, default: &str, say: impl FnOnce()) {
    subscriber::with_default(logging(format, EnvFilter::new(default)), say);
}

/// Whether colours are welcome there: on a terminal, unless `NO_COLOR` says something, <https://no-color.org>.
pub(crate) fn colours(terminal: bool) -> bool {
    welcome(terminal, std::env::var_os("NO_COLOR").as_deref())
}

fn welcome(terminal: bool, no_color: Option<&std::ffi::OsStr>) -> bool {
    terminal && no_color.is_none_or(std::ffi::OsStr::is_empty)
}

fn logging(format: LogFormat, filter: EnvFilter) -> Box<dyn Subscriber + Send + Sync> {
    let registry = tracing_subscriber::registry().with(filter);
    // The text form leaves hostile control characters escaped: fields are written with Debug or JSON.
    let colours = colours(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    match format {
        LogFormat::Text => {
            Box::new(registry.with(fmt::layer().with_ansi(colours).with_writer(std::io::stderr)))
        }
        LogFormat::Json => {
            Box::new(registry.with(fmt::layer().json().with_writer(std::io::stderr)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::welcome;

    #[test]
    fn colours_are_for_terminals_whose_owner_did_not_say_no() {
        assert!(welcome(true, None));
        assert!(welcome(true, Some("".as_ref())), "an empty variable says nothing");
        assert!(!welcome(true, Some("1".as_ref())));
        assert!(!welcome(false, None), "a file or a pipe");
    }
}
