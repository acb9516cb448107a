//! Loading: any bytes are rule files, or problems that can be shown. A NUL ends a file; the first is the enterprise's.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patwarden::rules::{
    SourceFile, Sources, Standing, calendar,
    cases,
    load::{load, load_layers},
};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut files: Vec<_> = text
        .split('\0')
        .take(4)
        .enumerate()
        .map(|(number, text)| SourceFile::new(format!("{number}.toml"), text))
        .collect();
    let alone = load(&files);
    shown(&alone);
    let upper = files.remove(0);
    for standing in [Standing::New, Standing::Before] {
        let sources =
            Sources { enterprise: vec![upper.clone()], organization: files.clone(), standing };
        shown(&load_layers(&sources));
    }
});

fn shown(loaded: &patwarden::rules::Loaded) {
    assert_eq!(loaded.policy.is_none(), loaded.has_errors());
    for diagnostic in &loaded.diagnostics {
        let text = diagnostic.render_human(false);
        assert!(!text.contains('\u{1b}'), "{text}");
        assert!(diagnostic.to_json().is_object());
    }
    if let Some(policy) = &loaded.policy {
        assert!(cases::run(loaded).cases.iter().all(|case| case.passed));
        let _ = calendar::outdated(policy, "2026-06-01".parse().unwrap());
    }
}
