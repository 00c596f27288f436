//! Writes down one access, and reads it back.

use vouchsafe_access_log::core::{ClauseId, PolicyDigest, Source, TenantId, Timestamp, UserId};
use vouchsafe_access_log::{Actor, Operation, Outcome, Record, Target, Url, name};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = Url::new("/campaigns/{id}")?.with_query("page=2&token=hush", &[name!("page")]);
    let record = Record {
        tenant: TenantId::new("acme")?,
        actor: Actor::User(UserId::new("u-17")?),
        target: Target::Url(url),
        operation: Operation::Read,
        outcome: Outcome::Succeeded,
        application: name!("consumer"),
        source: Source::Direct("203.0.113.9".parse::<std::net::IpAddr>()?.into()),
        shared_source: false,
        time: Timestamp::from_micros(1_523_232_000_000_000),
        policy: PolicyDigest::NONE,
        clause: Some(ClauseId::new("A1.4")?),
        repeats: std::num::NonZeroU32::MIN,
    };
    assert_eq!(Record::from_bytes(&record.to_bytes())?, record);
    let (json, csv) = (record.to_json(None), record.to_csv(None));
    for line in [&json, &csv] {
        assert!(line.contains("203.0.113.9") && line.contains("u-17"), "{line}");
        assert!(line.contains("2018-04-09T00:00:00.000000Z"), "{line}");
        assert!(!line.contains("hush"), "{line}");
    }
    let columns = |line: &str| line.split(',').count();
    assert_eq!(columns(&Record::csv_header()), columns(&csv));

    let mut cut = record.to_bytes();
    cut.pop();
    assert!(Record::from_bytes(&cut).is_err());
    Ok(())
}
