//! The JSON Schema of rule files, judged by a validator that editors use: it takes the policies that are shipped, and
//! refuses slips of the pen.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{
    fs,
    io::Write as _,
    process::{Command, Stdio},
};

use e2e::{binary, root};
use serde_json::{Value, json};

/// A rule file as editors hand it to a validator: dates and times are strings.
fn as_json(text: &str) -> Value {
    fn convert(value: toml::Value) -> Value {
        match value {
            toml::Value::Datetime(at) => at.to_string().into(),
            toml::Value::Array(items) => items.into_iter().map(convert).collect(),
            toml::Value::Table(table) => {
                Value::Object(table.into_iter().map(|(key, value)| (key, convert(value))).collect())
            }
            other => serde_json::to_value(other).unwrap(),
        }
    }
    convert(toml::Value::Table(text.parse().unwrap()))
}

#[test]
fn the_schema_takes_what_is_shipped_and_refuses_slips() {
    let schema = Command::new(binary("patwarden")).args(["rules", "schema"]).output().unwrap();
    assert!(schema.status.success());
    let schema: Value = serde_json::from_slice(&schema.stdout).unwrap();
    let files = [
        "small-org.toml",
        "foundation.toml",
        "enterprise/enterprise.toml",
        "enterprise/bank-core.toml",
    ];
    let text = |file: &str| fs::read_to_string(root().join("rules").join(file)).unwrap();
    let good: Vec<Value> = files.iter().map(|file| json!([file, as_json(&text(file))])).collect();
    let small = text("small-org.toml");
    let bad: Vec<Value> = [
        ("mode = \"shadow\"", "moed = \"shadow\""),
        ("schema = 1", "schema = 2"),
        ("when.owner.teams", "when.owner.team"),
        ("contents = \"read\"", "contens = \"read\""),
        ("contents = \"read\"", "contents = \"admin\""),
        ("allow.lifetime = \"90d\"", "allow.lifetime = \"36h\""),
        ("allow.lifetime = \"90d\"", "# none"),
        ("expect = \"approve\"", "expect = \"aprove\""),
        ("remind_every = \"1d\"", "remind_every = \"1w\""),
        ("to = \"owners\"", "to = 7"),
    ]
    .iter()
    .map(|(right, wrong)| {
        assert!(small.contains(right), "{right}");
        json!([wrong, as_json(&small.replacen(right, wrong, 1))])
    })
    .collect();
    let mut judge = Command::new("node")
        .arg(root().join("e2e/contract/schema.mjs"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node runs");
    let input = json!({ "schema": schema, "good": good, "bad": bad }).to_string();
    judge.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let judged = judge.wait_with_output().unwrap();
    assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    assert_eq!(String::from_utf8_lossy(&judged.stdout).trim(), "4 taken, 10 refused");
}
