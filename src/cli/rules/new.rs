//! `patwarden rules new`: five questions, and a policy to begin with.

use std::{
    io::{BufRead, Write},
    path::PathBuf,
};

use super::super::{Exit, output};
use crate::{
    domain::many,
    rules::{SourceFile, cases, diagnostic::Diagnostic, load::load, starter::Answers},
};

pub(super) const EXAMPLE: &str = "\
The questions are answered by flags as well; with all of them given nothing is asked:

    patwarden rules new rules.toml --organization acme --readers all --writers developers \\
      --lifetime 90d --reviewers owners";

#[derive(clap::Args)]
pub(in crate::cli) struct New {
    /// The file to write; it must not be there yet
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// 1. The organization's login
    #[arg(long, value_name = "LOGIN")]
    organization: Option<String>,
    /// 2. Who may read at once: `all` members, a team's slug, or `nobody`
    #[arg(long, value_name = "WHO")]
    readers: Option<String>,
    /// 3. Which team may write at once, for a third of the time: its slug, or `nobody`
    #[arg(long, value_name = "WHO")]
    writers: Option<String>,
    /// 4. How long a token may live at most
    #[arg(long, value_name = "DAYS")]
    lifetime: Option<String>,
    /// 5. Who decides on the rest: `owners`, or a team's slug
    #[arg(long, value_name = "WHO")]
    reviewers: Option<String>,
}

impl New {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        if self.file.exists() {
            anyhow::bail!("{} is there already: name another file", self.file.display());
        }
        if [&self.readers, &self.writers, &self.lifetime, &self.reviewers].contains(&&None) {
            output::line("Enter alone takes the answer in brackets.");
        }
        // An answer is judged at once, with usual ones for the others.
        let organization =
            ask(self.organization, "1. Your organization's login", None, |answer| {
                Answers::new(answer, "all", "nobody", "90d", "owners")
            })?;
        let readers = ask(
            self.readers,
            "2. Who may read repositories at once? all members, a team's slug, or nobody",
            Some("all"),
            |answer| Answers::new("acme", answer, "some-team", "90d", "owners"),
        )?;
        let writers = ask(
            self.writers,
            "3. Which team may write to repositories at once? its slug, or nobody",
            Some("nobody"),
            |answer| Answers::new("acme", &readers, answer, "90d", "owners"),
        )?;
        let lifetime = ask(
            self.lifetime,
            "4. How long may such a token live? in days",
            Some("90d"),
            |answer| Answers::new("acme", "all", "nobody", answer, "owners"),
        )?;
        let reviewers = ask(
            self.reviewers,
            "5. Who decides on the rest? owners, or a team's slug",
            Some("owners"),
            |answer| Answers::new("acme", "all", "nobody", "90d", answer),
        )?;
        let answers = Answers::new(&organization, &readers, &writers, &lifetime, &reviewers)
            .map_err(anyhow::Error::msg)?;
        let text = answers.policy();
        // What is written is tested, or it is not written.
        let loaded = load(&[SourceFile::new(self.file.display().to_string(), text.clone())]);
        if loaded.diagnostics.iter().any(Diagnostic::is_error) {
            super::print(&loaded.diagnostics);
            anyhow::bail!("these answers make no valid policy; nothing was written");
        }
        let mut file = std::fs::File::create_new(&self.file).map_err(|error| {
            anyhow::anyhow!("{} cannot be written: {error}", self.file.display())
        })?;
        file.write_all(text.as_bytes())?;
        let report = cases::run(&loaded);
        output::line(format_args!(
            "{} is written: {}, {}, all of which pass. Its mode is shadow: it decides and sends nothing.",
            self.file.display(),
            many(loaded.policy.as_ref().map_or(0, crate::rules::Policy::rule_count), "rule"),
            many(report.cases.len(), "test"),
        ));
        output::line(format_args!(
            "Read it, then: patwarden rules test {0}; patwarden rules explain {0} --owner kim --repository web --permission contents=read",
            self.file.display()
        ));
        output::line(
            "What it leaves to people is asked in issues of the repository token-reviews, and by mail: make that repository, private, \
             and install the App on it, or write another one into [reviewers].",
        );
        Ok(Exit::Well)
    }
}

/// The answer from a flag, or from whoever sits there; asked again until it can be used.
fn ask(
    flag: Option<String>,
    question: &str,
    default: Option<&str>,
    judge: impl Fn(&str) -> Result<Answers, String>,
) -> anyhow::Result<String> {
    if let Some(answer) = flag {
        return Ok(answer);
    }
    loop {
        let shown = default.map(|default| format!(" [{default}]")).unwrap_or_default();
        output::prompt(format_args!("{question}{shown}: "));
        let mut answer = String::new();
        if std::io::stdin().lock().read_line(&mut answer)? == 0 {
            anyhow::bail!("nobody answers; the flags in `patwarden rules new --help` do");
        }
        let (answer, is_usual) = match (answer.trim(), default) {
            ("", Some(default)) => (default, true),
            ("", None) => {
                output::line("   This one has no usual answer: write one, or end with Ctrl-c.");
                continue;
            }
            (answer, _) => (answer, false),
        };
        match judge(answer) {
            Ok(_) if is_usual => {
                output::line(format_args!("   Taken, as nothing was written: {answer}"));
                return Ok(answer.to_owned());
            }
            Ok(_) => return Ok(answer.to_owned()),
            Err(why) => output::line(format_args!("   {why}")),
        }
    }
}
