//! How mail is sent, and which address a login has: GitHub seldom shows members' addresses.

use std::{collections::BTreeMap, path::PathBuf};

use lettre::{Address, message::Mailbox};
use secrecy::SecretString;

use super::{Sources, read_secret};
use crate::{
    domain::Login,
    rules::{
        policy::{Detail, DigestBlock, Schedule},
        timetable::{Timetable, minute_of_day},
    },
};

/// How mail is sent.
pub struct MailSettings {
    /// Where it goes.
    pub transport: Transport,
    /// Whom it comes from.
    pub from: Mailbox,
    /// Under which addresses people are reached.
    pub addresses: AddressBook,
}

/// Under which addresses people are reached.
#[derive(Clone, Debug, Default)]
pub struct AddressBook {
    /// The addresses of those whom the settings name, by login.
    pub addresses: BTreeMap<Login, Address>,
    /// What is done for everybody else.
    pub others: Others,
}

/// What is done for people whose address the settings do not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Others {
    /// They are named as people without an address.
    #[default]
    AreNamed,
    /// The address on their public profile is used, where there is one. Nobody knows who reads along there: they are told
    /// no names, reasons or repositories.
    ByPublicProfile,
}

/// Where mail goes.
pub enum Transport {
    /// Into a folder: a file for each, complete, for those who have no mail server yet.
    Folder(PathBuf),
    /// To a mail server.
    Server(Server),
}

/// A mail server.
pub struct Server {
    /// Its name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept from others.
    pub tls: Tls,
    /// Who we are to it, and the password.
    pub login: Option<(String, SecretString)>,
    /// Certificates, PEM, that its own may be signed by beside the system's.
    pub ca: Option<Vec<u8>>,
}

/// How a connection to a mail server is kept from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// From the first byte.
    FromTheStart,
    /// Asked for with STARTTLS, and refused where the server does not do it.
    Required,
    /// Not at all: only to this machine itself.
    None,
}

/// Reads the settings of mail; `None`: no mail is sent.
pub(super) fn check(s: &mut Sources) -> Option<MailSettings> {
    let addresses = addresses(s);
    let others = s.parsed("mail-public-addresses", |text| match text {
        "off" => Ok(Others::AreNamed),
        "on" => Ok(Others::ByPublicProfile),
        _ => Err(format!("`{text}` is neither on nor off")),
    });
    let from = s.parsed("mail-from", |text| {
        text.parse::<Mailbox>().map_err(|_| format!("`{text}` is not a mail address"))
    });
    let password = password(s);
    let ca = s.get("mail-ca-path");
    let ca = ca.and_then(|(path, origin)| read_secret(s, &path, &origin)).map(String::into_bytes);
    let transport = s.parsed("mail", |text| transport(text, password, ca))?;
    let from = s.needed("mail-from", from)?;
    Some(MailSettings {
        transport,
        from,
        addresses: AddressBook { addresses, others: others.unwrap_or_default() },
    })
}

/// `digest`: when the owners of an organization without rules in force have a digest.
pub(super) fn digest(s: &mut Sources) -> Option<DigestBlock> {
    s.parsed("digest", |text| {
        let why = "write a time and a zone, such as 08:00 Europe/Vienna";
        let (clock, timezone) = text.split_once(' ').ok_or(why)?;
        let minute = minute_of_day(clock).ok_or(why)?;
        let digest = DigestBlock {
            to: vec!["owners".to_owned()],
            schedule: Schedule::Daily { minute },
            timezone: timezone.to_owned(),
            detail: Detail::default(),
        };
        Timetable::of(&digest).map_err(|error| error.to_string())?;
        Ok(digest)
    })
}

fn password(s: &mut Sources) -> Option<SecretString> {
    match (s.get("mail-password"), s.get("mail-password-path")) {
        (Some((_, inline)), Some((_, path))) => {
            s.problems.push(format!("{inline} and {path} are both set: leave one out"));
            None
        }
        (Some((password, _)), None) => Some(password.into()),
        (None, Some((path, origin))) => read_secret(s, &path, &origin)
            .map(|text| SecretString::from(text.trim_end_matches(['\n', '\r']).to_owned())),
        (None, None) => None,
    }
}

fn transport(
    text: &str,
    password: Option<SecretString>,
    ca: Option<Vec<u8>>,
) -> Result<Transport, String> {
    if let Some(path) = text.strip_prefix("folder:") {
        if path.is_empty() {
            return Err("name the folder: folder:PATH".to_owned());
        }
        return Ok(Transport::Folder(PathBuf::from(path)));
    }
    let url = url::Url::parse(text)
        .map_err(|_| "write smtp://USER@HOST, smtps://USER@HOST or folder:PATH".to_owned())?;
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or("it names no host")?.to_owned();
    if url.password().is_some() {
        return Err(
            "the password does not belong into the address: set PATWARDEN_MAIL_PASSWORD".to_owned()
        );
    }
    if !matches!(url.path(), "" | "/") || url.query().is_some() {
        return Err("nothing may come after the host and its port".to_owned());
    }
    let loopback = matches!(host.as_str(), "localhost" | "127.0.0.1" | "[::1]");
    let (tls, port) = match url.scheme() {
        "smtps" => (Tls::FromTheStart, 465),
        "smtp" if loopback && url.username().is_empty() && ca.is_none() => (Tls::None, 25),
        "smtp" => (Tls::Required, 587),
        other => return Err(format!("`{other}` is neither smtp, smtps nor folder")),
    };
    let user = percent_encoding::percent_decode_str(url.username()).decode_utf8_lossy();
    let login = match (user.is_empty(), password) {
        (true, None) => None,
        (false, Some(password)) => Some((user.into_owned(), password)),
        (false, None) => {
            return Err(format!("{user} has no password: set PATWARDEN_MAIL_PASSWORD"));
        }
        (true, Some(_)) => {
            return Err("the password has no user: write smtp://USER@HOST".to_owned());
        }
    };
    let port = url.port().unwrap_or(port);
    Ok(Transport::Server(Server { host, port, tls, login, ca }))
}

/// `[addresses]` of the settings file: `login = "mail address"`.
fn addresses(s: &mut Sources) -> BTreeMap<Login, Address> {
    let Some((path, table)) = &s.file else { return BTreeMap::new() };
    let Some(value) = table.get("addresses") else { return BTreeMap::new() };
    let shown = path.display().to_string();
    let Some(listed) = value.as_table() else {
        s.problems.push(format!("[addresses] in {shown} is a table: LOGIN = \"mail address\""));
        return BTreeMap::new();
    };
    let mut problems = Vec::new();
    let mut found = BTreeMap::new();
    for (login, value) in listed {
        match value.as_str().and_then(|text| text.parse::<Address>().ok()) {
            Some(address) => drop(found.insert(Login::new(login.as_str()), address)),
            None => problems.push(format!(
                "[addresses] in {shown}: `{login}` has no mail address as its value"
            )),
        }
    }
    s.problems.extend(problems);
    found
}

#[cfg(test)]
mod tests {
    use super::{Tls, Transport, transport};

    fn server(text: &str, password: Option<&str>) -> Result<(String, u16, Tls), String> {
        match transport(text, password.map(Into::into), None)? {
            Transport::Server(server) => Ok((server.host, server.port, server.tls)),
            Transport::Folder(_) => Err("a folder".to_owned()),
        }
    }

    #[test]
    fn a_password_goes_only_where_nobody_else_hears_it() {
        let host = || "mail.example".to_owned();
        assert_eq!(server("smtp://bot@mail.example", Some("x")), Ok((host(), 587, Tls::Required)));
        assert_eq!(
            server("smtps://bot@mail.example:2465", Some("x")),
            Ok((host(), 2465, Tls::FromTheStart))
        );
        assert_eq!(server("smtp://mail.example", None), Ok((host(), 587, Tls::Required)));
        let own = Ok(("localhost".to_owned(), 2525, Tls::None));
        assert_eq!(server("smtp://localhost:2525", None), own);
        // With a password, not even there.
        let own = Ok(("localhost".to_owned(), 2525, Tls::Required));
        assert_eq!(server("smtp://bot@localhost:2525", Some("x")), own);
        for (text, password, told) in [
            ("smtp://bot:secret@mail.example", None, "PATWARDEN_MAIL_PASSWORD"),
            ("smtp://bot@mail.example", None, "has no password"),
            ("smtp://mail.example", Some("x"), "has no user"),
            ("smtp://bot@mail.example/inbox", Some("x"), "nothing may come after"),
            ("http://mail.example", None, "neither smtp"),
            ("mail.example", None, "folder:PATH"),
            ("folder:", None, "name the folder"),
        ] {
            let error = server(text, password).err().unwrap_or_default();
            assert!(error.contains(told) && !error.contains("secret"), "{text}: {error}");
        }
    }
}
