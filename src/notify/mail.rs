//! One mail: complete in its text, the same in HTML, under an id of its own; and the ways it goes.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox, MultiPart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls as SmtpTls, TlsParameters},
    },
};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use crate::{
    domain::{cut, for_people},
    settings::{MailSettings, Server, Tls, Transport},
};

/// The longest that one mail may take, from the connection to the server's last word: lettre's own limit is over the
/// connecting alone.
const DEADLINE: Duration = Duration::from_secs(60);

/// The longest subject, in characters.
const SUBJECT: usize = 200;

/// A mail that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Names it: the same mail has the same key, however often it is sent.
    pub key: String,
    /// Whom it goes to.
    pub to: Address,
    /// One line.
    pub subject: String,
    /// All of it, as text.
    pub text: String,
    /// The same, as HTML.
    pub html: String,
    /// The list that it belongs to, such as `digest.acme`; empty: it is to one person.
    pub list: String,
}

/// Why a mail did not go out.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The server will not take it, ever.
    #[error("the mail server refuses it ({0})")]
    Refused(String),
    /// Not now.
    #[error("the mail could not be sent ({0})")]
    NotNow(String),
}

/// The way that mail goes.
pub struct Mailer {
    from: Mailbox,
    way: Way,
    deadline: Duration,
}

enum Way {
    Folder(PathBuf),
    Server(Box<AsyncSmtpTransport<Tokio1Executor>>),
}

impl Mailer {
    /// The way that the settings name. Nothing is sent yet.
    ///
    /// # Errors
    /// A sentence with its remedy.
    pub fn new(settings: &MailSettings) -> Result<Self, String> {
        let way = match &settings.transport {
            Transport::Folder(path) => Way::Folder(path.clone()),
            Transport::Server(server) => Way::Server(Box::new(smtp(server)?)),
        };
        Ok(Self { from: settings.from.clone(), way, deadline: DEADLINE })
    }

    /// Sends it. SMTP cannot promise that a mail whose last answer was lost did not arrive: sent again, it has the same
    /// `Message-ID`, by which mailboxes tell that they have it.
    ///
    /// # Errors
    /// Whether it is worth to be tried again.
    pub async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = self.message(mail)?;
        match &self.way {
            Way::Folder(folder) => {
                let (folder, name) = (folder.clone(), format!("{}.eml", id(&mail.key)));
                let bytes = message.formatted();
                let written =
                    tokio::task::spawn_blocking(move || put(&folder, &name, &bytes)).await;
                let not_now = |error: &dyn std::fmt::Display| MailError::NotNow(error.to_string());
                written.map_err(|error| not_now(&error))?.map_err(|error| not_now(&error))
            }
            Way::Server(server) => {
                let sent = tokio::time::timeout(self.deadline, server.send(message)).await;
                let sent = sent.map_err(|_| {
                    MailError::NotNow(format!("nothing within {:?}", self.deadline))
                })?;
                sent.map(|_| ()).map_err(|error| {
                    let why = cut(&for_people(&error.to_string()), 300);
                    // Of us, and not of this mail: a password that is wrong today is right tomorrow.
                    let of_us = ["530", "534", "535", "538"];
                    let code = error.status().map(|code| code.to_string());
                    let of_us = code.is_some_and(|code| of_us.contains(&code.as_str()));
                    if error.is_permanent() && !of_us {
                        MailError::Refused(why)
                    } else {
                        MailError::NotNow(why)
                    }
                })
            }
        }
    }

    /// Whether mail would go out, without sending any. Gives where it would go.
    ///
    /// # Errors
    /// What is in the way.
    pub async fn check(&self) -> Result<String, MailError> {
        match &self.way {
            Way::Folder(folder) => {
                let shown = folder.display().to_string();
                let folder = folder.clone();
                let made = tokio::task::spawn_blocking(move || {
                    put(&folder, ".check", b"")?;
                    std::fs::remove_file(folder.join(".check"))
                });
                let made = made.await.map_err(|error| MailError::NotNow(error.to_string()))?;
                made.map_err(|error| MailError::NotNow(format!("{shown}: {error}")))?;
                Ok(format!("mail goes into the folder {shown}"))
            }
            Way::Server(server) => {
                let tried = tokio::time::timeout(self.deadline, server.test_connection()).await;
                let nothing = || MailError::NotNow(format!("nothing within {:?}", self.deadline));
                let why = |error: lettre::transport::smtp::Error| {
                    MailError::NotNow(cut(&for_people(&error.to_string()), 300))
                };
                match tried.map_err(|_| nothing())?.map_err(why)? {
                    true => Ok("the mail server takes mail from us".to_owned()),
                    false => {
                        Err(MailError::NotNow("the mail server ends the connection".to_owned()))
                    }
                }
            }
        }
    }

    fn message(&self, mail: &Mail) -> Result<Message, MailError> {
        let host = self.from.email.domain();
        // Source: <https://www.rfc-editor.org/rfc/rfc3834#section-5>.
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let mut builder = Message::builder();
        if !mail.list.is_empty() {
            // Source: <https://www.rfc-editor.org/rfc/rfc2919>. Of a login, which is letters, digits and hyphens.
            let list = HeaderName::new_from_ascii_str("List-Id");
            let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
            let of: String = mail.list.chars().filter(plain).collect();
            builder =
                builder.raw_header(HeaderValue::new(list, format!("<{of}.patwarden.{host}>")));
        }
        builder
            .message_id(Some(format!("<{}@{host}>", id(&mail.key))))
            .from(self.from.clone())
            .to(Mailbox::new(None, mail.to.clone()))
            // Names of tokens may be in it: one line, whatever they are.
            .subject(cut(&for_people(&mail.subject), SUBJECT))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
            .multipart(MultiPart::alternative_plain_html(mail.text.clone(), mail.html.clone()))
            .map_err(|error| MailError::Refused(error.to_string()))
    }
}

/// The part of a mail's id before its host: the same for the same key, and nothing of the key to be read in it.
fn id(key: &str) -> String {
    hex::encode(Sha256::digest(key)).chars().take(32).collect()
}

/// Writes a file in one piece: who watches the folder never sees half a mail.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    std::fs::create_dir_all(folder)?;
    let begun = folder.join(format!(".{name}.part"));
    let mut file = std::fs::OpenOptions::new();
    let mut file = file.create(true).truncate(true).write(true).mode(0o600).open(&begun)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&begun, folder.join(name))
}

fn smtp(server: &Server) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let wrong = |error: lettre::transport::smtp::Error| {
        format!("the mail server {} cannot be used: {error}", server.host)
    };
    let mut parameters = TlsParameters::builder(server.host.clone());
    if let Some(pem) = &server.ca {
        let certificate = Certificate::from_pem(pem).map_err(|error| {
            format!("mail-ca-path holds no certificate in PEM that can be read: {error}")
        })?;
        parameters = parameters.add_root_certificate(certificate);
    }
    let parameters = || parameters.clone().build().map_err(wrong);
    let tls = match server.tls {
        Tls::FromTheStart => SmtpTls::Wrapper(parameters()?),
        Tls::Required => SmtpTls::Required(parameters()?),
        Tls::None => SmtpTls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(server.host.clone())
        .port(server.port)
        .tls(tls)
        .timeout(Some(Duration::from_secs(20)));
    if let Some((user, password)) = &server.login {
        let password = password.expose_secret().to_owned();
        builder = builder.credentials(Credentials::new(user.clone(), password));
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Mail, MailError, Mailer};
    use crate::settings::{AddressBook, MailSettings, Server, Tls, Transport};

    fn mail(subject: &str) -> Mail {
        Mail {
            key: "notice/1/unused/7".to_owned(),
            to: "kim@example.com".parse().expect("an address"),
            subject: subject.to_owned(),
            text: "Dear kim".to_owned(),
            html: "<p>Dear kim</p>".to_owned(),
            list: String::new(),
        }
    }

    #[tokio::test]
    async fn a_mail_in_a_folder_is_complete_is_one_however_often_it_is_sent_and_has_no_header_of_somebody_else()
     {
        let folder = tempfile::tempdir().expect("a directory");
        let settings = MailSettings {
            transport: Transport::Folder(folder.path().join("mail")),
            from: "patwarden <bot@example.com>".parse().expect("an address"),
            addresses: AddressBook::default(),
        };
        let mailer = Mailer::new(&settings).expect("a way");
        let hostile = "Your token x\r\nBcc: everybody@example.com\u{202e}\r\n\r\n<script>";
        for _ in 0..2 {
            mailer.send(&mail(hostile)).await.expect("written");
        }
        let files: Vec<_> = std::fs::read_dir(folder.path().join("mail")).expect("it").collect();
        let [file] = files.as_slice() else { panic!("one file: {files:?}") };
        let text = std::fs::read_to_string(file.as_ref().expect("a file").path()).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(!head.contains("\nBcc:"), "{head}");
        for header in ["Message-ID: <", "Auto-Submitted: auto-generated", "To: kim@example.com"] {
            assert!(head.contains(header), "{header} in {head}");
        }
        assert!(body.contains("Dear kim") && body.contains("<p>Dear kim</p>"), "{body}");
    }

    #[tokio::test]
    async fn a_mail_server_that_takes_the_connection_and_says_nothing_is_given_up_on() {
        let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = mute.local_addr().expect("an address").port();
        let connections = tokio::spawn(async move {
            let mut kept = Vec::new();
            while let Ok((connection, _)) = mute.accept().await {
                kept.push(connection);
            }
        });
        let server =
            Server { host: "127.0.0.1".to_owned(), port, tls: Tls::None, login: None, ca: None };
        let settings = MailSettings {
            transport: Transport::Server(server),
            from: "bot@example.com".parse().expect("an address"),
            addresses: AddressBook::default(),
        };
        let mailer = Mailer {
            deadline: Duration::from_millis(300),
            ..Mailer::new(&settings).expect("a way")
        };
        let mail = mail("hello");
        let sent = tokio::time::timeout(Duration::from_secs(10), mailer.send(&mail)).await;
        let error = sent.expect("it is given up on").expect_err("nothing was said");
        assert!(matches!(error, MailError::NotNow(_)), "{error}");
        connections.abort();
    }
}
