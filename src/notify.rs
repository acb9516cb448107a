//! Telling people by mail. What there is to be said, and when, is decided elsewhere.

mod letter;
mod mail;
mod notice;

pub use mail::{Mail, MailError, Mailer};
pub use notice::{Because, Notice, NoticeToken, Revoked};
