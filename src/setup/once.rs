//! Words that only those know who were told: made at random, compared in constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// A word that was told once.
#[derive(Clone)]
pub struct Once {
    word: String,
    /// Of this word alone: what is compared are two codes under it, which tell nothing of where words differ.
    mac: Hmac<Sha256>,
}

impl Once {
    /// A word of 32 random bytes, in hexadecimal.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn long() -> Result<Self, getrandom::Error> {
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes)?;
        Self::of(hex::encode(bytes))
    }

    /// A word for people to type: sixteen letters that are not taken for others, 80 bits, in groups of four.
    ///
    /// # Errors
    /// When the machine has no randomness.
    pub fn to_type() -> Result<Self, getrandom::Error> {
        const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        let mut bytes = [0u8; 16];
        getrandom::fill(&mut bytes)?;
        let mut word = String::with_capacity(19);
        for (place, byte) in bytes.into_iter().enumerate() {
            if place > 0 && place % 4 == 0 {
                word.push('-');
            }
            let letter = LETTERS.get(usize::from(byte % 32)).copied().unwrap_or(b'A');
            word.push(char::from(letter));
        }
        Self::of(word)
    }

    fn of(word: String) -> Result<Self, getrandom::Error> {
        let mut key = [0u8; 64];
        getrandom::fill(&mut key)?;
        let mac = Hmac::new(&key.into());
        Ok(Self { word, mac })
    }

    /// The word, for the one place where it is told.
    #[must_use]
    pub fn word(&self) -> &str {
        &self.word
    }

    /// Whether somebody said the word. Takes as long wherever the first difference is.
    #[must_use]
    pub fn is(&self, said: &str) -> bool {
        let of = |text: &str| {
            let mut mac = self.mac.clone();
            mac.update(text.as_bytes());
            mac
        };
        of(said).verify(&of(&self.word).finalize().into_bytes()).is_ok()
    }

    /// The same for what was typed: blanks at the ends, and small letters, are as good.
    #[must_use]
    pub fn is_typed(&self, said: &str) -> bool {
        self.is(&said.trim().to_ascii_uppercase())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test says what went wrong by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_known_again_and_no_other_is() {
        let word = Once::long().unwrap();
        assert!(word.is(word.word()) && word.word().len() == 64);
        assert!(
            !word.is(&word.word()[1..]) && !word.is("") && !word.is(&word.word().to_uppercase())
        );
        assert_ne!(word.word(), Once::long().unwrap().word());
        let typed = Once::to_type().unwrap();
        assert_eq!(typed.word().len(), 19);
        assert!(typed.is_typed(&format!(" {} ", typed.word().to_lowercase())));
        assert!(!typed.is_typed(&typed.word().replace('-', "")));
    }
}
