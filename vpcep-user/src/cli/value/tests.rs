use std::fmt::Debug;

use serde_json::{Value, json};

use super::*;

fn json_of<T>(text: &str) -> Value
where
    T: FromStr<Err: Debug> + Serialize,
{
    json!(text.parse::<T>().unwrap())
}

#[test]
fn typed_values_become_the_objects_of_the_api() {
    let cases = [
        (
            json_of::<PortMapping>("80:8080"),
            json!({"client_port": 80, "server_port": 8080, "protocol": "TCP"}),
        ),
        (
            json_of::<PortMapping>("53:5353/udp"),
            json!({"client_port": 53, "server_port": 5353, "protocol": "UDP"}),
        ),
        (
            json_of::<PortMapping>("1:65535/TCP"),
            json!({"client_port": 1, "server_port": 65535, "protocol": "TCP"}),
        ),
        (json_of::<Member>("10.0.0.7:8080"), json!({"address": "10.0.0.7", "port": 8080, "weight": 1})),
        (
            json_of::<Member>("10.0.0.7:0,weight=100"),
            json!({"address": "10.0.0.7", "port": 0, "weight": 100}),
        ),
    ];
    for (typed, sent) in cases {
        assert_eq!(typed, sent);
    }
}

#[test]
fn values_of_another_form_are_refused() {
    fn refused<T: FromStr<Err = ValueError> + Debug>(texts: &[&str]) {
        for text in texts {
            assert!(text.parse::<T>().is_err(), "{} {text:?}", std::any::type_name::<T>());
        }
    }
    refused::<PortMapping>(&[
        "",
        "80",
        "80:",
        ":80",
        "0:80",
        "80:0",
        "80:65536",
        "+80:80",
        "80:80/sctp",
        "80:80/",
        "a:b",
        "80:80:80",
    ]);
    refused::<Destination>(&["", "10.0.0.9", "10.0.0.9:0", "10.0.0.9:443/icmp", "name:443", "[::1]:443"]);
    refused::<Member>(&[
        "",
        "10.0.0.7",
        "10.0.0.7:8080,",
        "10.0.0.7:8080,weight=0",
        "10.0.0.7:8080,weight=101",
        "10.0.0.7:8080,weight=+5",
        "10.0.0.7:8080,share=5",
        "10.0.0.256:8080",
    ]);
    refused::<QuotaSetting>(&[
        "",
        "endpoint",
        "endpoint=",
        "endpoint=-1",
        "backend=5",
        "endpoint=1.5",
        "endpoint=4294967296",
    ]);
    refused::<Permission>(&[
        "",
        "iam:domain::",
        "iam:domain::a b",
        "iam:user::a",
        "organizations:orgPath::",
        "**",
        "a/b",
    ]);
    refused::<Reference>(&["", " ", "a\nb"]);
    refused::<Tag>(&["", "env", "=prod"]);
    refused::<TagMatch>(&["", "=prod"]);
    for text in ["", "0", "4095", "-1", "+7", "99999", "x"] {
        assert!(vlan(text).is_err(), "vlan {text:?}");
    }
}

#[test]
fn only_a_dashed_lower_case_uuid_is_an_id() {
    let id = "0c1c9a5e-8e0d-4b6a-9d5a-0c6a5e1f2b3d";
    assert_eq!(id.parse(), Ok(Reference::Id(id.to_owned())));
    for name in ["web", "16777510", "region1.shop.0c1c9a5e-8e0d-4b6a-9d5a-0c6a5e1f2b3d", &id.to_uppercase()] {
        assert_eq!(name.parse(), Ok(Reference::Name(name.to_owned())), "{name}");
    }
}

#[test]
fn complete_permissions_pass_through_and_others_are_bare() {
    for text in ["*", "iam:domain::*", "iam:domain::0123abc", "organizations:orgPath::o-1/r-1/*"] {
        assert!(
            matches!(text.parse(), Ok(Permission::Complete(permission)) if permission.as_str() == text),
            "{text}"
        );
    }
    for text in ["acme", "0123456789abcdef0123456789abcdef", "team-a"] {
        assert!(matches!(text.parse(), Ok(Permission::Bare(name)) if name.as_str() == text), "{text}");
    }
}

#[test]
fn times_are_points_or_how_long_ago() {
    assert_eq!(time("2026-03-01T12:00:00Z").unwrap().to_string(), "2026-03-01T12:00:00Z");
    let an_hour = 3_600_000_000;
    let then = time("60m").unwrap();
    let ago = Timestamp::now().as_micros() - then.as_micros();
    assert!((an_hour..an_hour + 60_000_000).contains(&ago), "{ago}");
    for text in ["", "yesterday", "2026-03-01", "1969-12-31T00:00:00Z", "-1h"] {
        assert_eq!(time(text), Err(ValueError::Time), "{text:?}");
    }
}
