//! What `doctor` tries of mail: whether it goes out, and whether there is somebody to mail.

use lettre::Address;

use super::Report;
use crate::{
    clock::Clock,
    doctor::{self, Level, Unsent},
    engine::{Engine, RecipientsError},
    github::Granted,
    notify::{Mail, Mailer},
    settings::MailSettings,
    store::Store,
};

/// Whether mail goes out, where some is to.
pub(super) async fn examine(
    report: &mut Report,
    mail: Option<&MailSettings>,
    unsent: &[Unsent],
    test: Option<Address>,
) {
    let Some(settings) = mail else {
        report.add([doctor::about_no_mail(unsent)]);
        if let Some(to) = test {
            let what = format!("no test was sent to {to}: mail is not set up");
            let mend = "Set PATWARDEN_MAIL and PATWARDEN_MAIL_FROM.";
            report.found(Level::Error, "mail", [&what, "Nobody is reached by mail.", mend]);
        }
        return;
    };
    let mend =
        "Compare PATWARDEN_MAIL, its password and the port with what the mail server's people say.";
    let mailer = match Mailer::new(settings) {
        Ok(mailer) => mailer,
        Err(why) => {
            return report.found(Level::Error, "mail", [&why, "No mail is sent.", mend]);
        }
    };
    match mailer.check().await {
        Ok(what) => report.well("mail", what),
        Err(error) => {
            let why = "Mail waits in the record until it can be sent.";
            report.found(Level::Error, "mail", [&error.to_string(), why, mend]);
        }
    }
    let Some(to) = test else { return };
    let mail = Mail {
        key: format!("test/{}", Clock::system().now().as_millisecond()),
        to,
        subject: "[patwarden] a test".to_owned(),
        text: "Somebody ran `patwarden doctor --send-test`. Mail arrives.\n".to_owned(),
        list: String::new(),
        html: "<p>Somebody ran <code>patwarden doctor --send-test</code>. Mail arrives.</p>\n"
            .to_owned(),
    };
    match mailer.send(&mail).await {
        Ok(()) => report.well("mail", format!("a test was sent to {}", mail.to)),
        Err(error) => {
            let what = format!("the test to {} was not sent: {error}", mail.to);
            report.found(Level::Error, "mail", [&what, "Nobody is reached by mail.", mend]);
        }
    }
}

/// Whether there is somebody to mail.
pub(super) async fn examine_recipients(
    report: &mut Report,
    engine: &Engine,
    store: &Store,
    one: &Granted,
) {
    let organization = &one.installation.organization;
    let login = organization.login.as_str();
    let Ok(Some(installation)) = store.installation(organization.id).await else { return };
    let mend = "Add them to [addresses] in the settings file: login = \"mail address\".";
    match engine.recipients(&installation, &["owners".to_owned()]).await {
        Err(RecipientsError::NoMail) => {}
        Err(error) => {
            let what = format!("who its owners are could not be read: {error}");
            report.found(
                Level::Warning,
                login,
                [&what, "They get no mail.", "Grant members: read."],
            );
        }
        Ok(found) => {
            let without: Vec<&str> =
                found.without_address.iter().map(|login| login.as_str()).collect();
            let without = without.join(", ");
            if found.is_nobody() {
                let what =
                    format!("no owner can be reached by mail: no address of {without} is known");
                report.found(
                    Level::Warning,
                    login,
                    [&what, "The digest and questions reach nobody.", mend],
                );
            } else if !without.is_empty() {
                let what = format!("no address is known of the owners {without}");
                report.found(Level::Note, login, [&what, "They get no mail.", mend]);
            } else {
                report.well(login, "every owner can be reached by mail");
            }
        }
    }
}
