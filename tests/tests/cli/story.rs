//! Two accounts share a service, and every command has its turn.

use crate::play::Caller::{self, Account, Operator, Remote};
use crate::play::Outcome::{Prints, Refused};
use crate::play::{Step, keeping, step};

const PROVIDER: Caller = Account("provider");
const CONSUMER: Caller = Account("consumer");

/// The steps, in order; each builds on those before.
pub const STORY: &[Step] = &[
    step(Operator, "status", Prints(&[("/datapath/kind", "none"), ("/counts/accounts", "0")])),
    keeping(
        step(Operator, "account create provider", Prints(&[("/name", "provider"), ("/secret_key", "*")])),
        &[("provider", "/token")],
    ),
    keeping(
        step(Operator, "account create consumer", Prints(&[("/access_key", "*"), ("/project_id", "*")])),
        &[("consumer", "/token"), ("domain", "/domain_id")],
    ),
    keeping(
        step(Operator, "account token consumer", Prints(&[("/domain_id", "{domain}"), ("/token", "*")])),
        &[("consumer", "/token")],
    ),
    step(Operator, "account create consumer", Refused("EndPoint.")),
    step(PROVIDER, "account create other", Refused("EndPoint.0004")),
    step(Operator, "account list", Prints(&[("/total_count", "2")])),
    step(Operator, "account show consumer", Prints(&[("/domain_id", "{domain}")])),
    step(Operator, "account show nobody", Refused("EndPoint.0005")),
    step(Operator, "--account nobody vpc list", Refused("EndPoint.0005")),
    // Who calls in the name of an account.
    step(
        Operator,
        "--account consumer user create bob --role reader",
        Prints(&[("/role", "reader"), ("/account", "consumer"), ("/has_password", "false")]),
    ),
    step(Operator, "--account consumer user list", Prints(&[("/total_count", "2")])),
    step(Operator, "user show bob@consumer", Prints(&[("/name", "bob")])),
    step(Operator, "user set-role bob@consumer member", Prints(&[("/role", "member")])),
    step(Operator, "user set-password bob@consumer --password-stdin", Refused("cannot read the password")),
    step(CONSUMER, "user list", Refused("EndPoint.0004")),
    keeping(
        step(
            Operator,
            "key create --user bob@consumer --description ci",
            Prints(&[("/secret", "*"), ("/description", "ci")]),
        ),
        &[("key", "/access")],
    ),
    step(Operator, "key list --user bob@consumer", Prints(&[("/credentials/0/access", "{key}")])),
    step(CONSUMER, "key list", Prints(&[("/total_count", "1")])),
    step(CONSUMER, "key delete {key}", Refused("Not Found")),
    step(Operator, "key delete {key}", Prints(&[("/id", "{key}")])),
    step(Operator, "user delete bob@consumer", Prints(&[("/id", "*")])),
    step(Operator, "user show bob@consumer", Refused("EndPoint.0005")),
    keeping(step(Operator, "account token consumer", Prints(&[("/token", "*")])), &[("spent", "/token")]),
    step(Account("spent"), "token revoke", Prints(&[])),
    step(Account("spent"), "vpc list", Refused("`vpcep login` gets another")),
    keeping(step(Operator, "account token consumer", Prints(&[("/token", "*")])), &[("consumer", "/token")]),
    step(
        Operator,
        "token issue --server http://127.0.0.1:1 --account a --password-stdin",
        Refused("cannot read the password"),
    ),
    // Networks; the two have the same range.
    step(PROVIDER, "vpc create servers --cidr 192.168.24.0/24", Prints(&[("/name", "servers")])),
    step(CONSUMER, "vpc create clients --cidr 192.168.24.0/24", Prints(&[("/status", "OK")])),
    step(CONSUMER, "vpc create bad --cidr 198.19.128.0/24", Refused("EndPoint.")),
    step(PROVIDER, "vpc list", Prints(&[("/vpcs/0/name", "servers"), ("/total_count", "1")])),
    step(Remote("consumer"), "vpc list", Prints(&[("/vpcs/0/name", "clients"), ("/total_count", "1")])),
    step(Operator, "--account consumer vpc show clients", Prints(&[("/cidr", "192.168.24.0/24")])),
    step(CONSUMER, "vpc show servers", Refused("EndPoint.0005: there is no VPC \"servers\"")),
    step(
        PROVIDER,
        "subnet create racks --vpc servers --cidr 192.168.24.0/25",
        Prints(&[("/status", "ACTIVE")]),
    ),
    step(CONSUMER, "subnet create front --vpc clients --cidr 192.168.24.0/25", Prints(&[("/vpc_id", "*")])),
    step(CONSUMER, "subnet create far --vpc clients --cidr 10.0.0.0/24", Refused("EndPoint.")),
    step(CONSUMER, "subnet list --vpc clients", Prints(&[("/subnets/0/name", "front")])),
    step(CONSUMER, "subnet show front", Prints(&[("/cidr", "192.168.24.0/25")])),
    step(
        Operator,
        "attachment create --vpc clients --interface lo --vlan 7 --address 192.168.24.1/24 --wait",
        Prints(&[("/status", "active"), ("/vlan", "7")]),
    ),
    step(PROVIDER, "attachment list", Refused("EndPoint.0004")),
    step(Operator, "attachment list", Prints(&[("/attachments/0/interface", "lo")])),
    step(Operator, "attachment show lo.7", Prints(&[("/address", "192.168.24.1/24")])),
    step(Operator, "attachment delete lo.7 --force", Prints(&[("/id", "*")])),
    // What is offered.
    step(
        PROVIDER,
        "backend create pool --vpc servers --type lb --address 192.168.24.100 --member 192.168.24.7:8080,weight=5",
        Prints(&[("/members/0/weight", "5"), ("/port_id", "*")]),
    ),
    step(
        PROVIDER,
        "backend create spare --vpc servers --type vm --address 192.168.24.8",
        Prints(&[("/type", "VM")]),
    ),
    step(PROVIDER, "backend create out --vpc servers --type vm --address 10.0.0.8", Refused("EndPoint.")),
    step(PROVIDER, "backend list --vpc servers", Prints(&[("/total_count", "2")])),
    step(
        PROVIDER,
        "port create web --subnet racks --address 192.168.24.20",
        Prints(&[("/fixed_ips/0/ip_address", "192.168.24.20"), ("/network_id", "*")]),
    ),
    step(PROVIDER, "port list --subnet racks", Prints(&[("/ports/2/name", "web")])),
    step(PROVIDER, "port show web", Prints(&[("/name", "web")])),
    step(PROVIDER, "port delete web", Prints(&[("/id", "*")])),
    step(PROVIDER, "backend show spare", Prints(&[("/address", "192.168.24.8")])),
    keeping(
        step(
            PROVIDER,
            "service create --vpc servers --backend pool --port 80:8080 --name shop --wait",
            Prints(&[("/status", "available"), ("/server_type", "LB"), ("/approval_enabled", "true")]),
        ),
        &[("service", "/id"), ("full_name", "/service_name")],
    ),
    step(PROVIDER, "service create --vpc servers --backend pool --port 81:8080", Refused("EndPoint.3044")),
    step(PROVIDER, "service list --name shop", Prints(&[("/endpoint_services/0/id", "{service}")])),
    step(PROVIDER, "service list --status failed", Prints(&[("/total_count", "0")])),
    step(PROVIDER, "service show shop", Prints(&[("/id", "{service}")])),
    step(PROVIDER, "service rename shop store", Prints(&[("/endpoint_service_name", "*")])),
    step(PROVIDER, "service rename store shop", Prints(&[("/endpoint_service_name", "{full_name}")])),
    step(PROVIDER, "service tag shop env=prod", Prints(&[("/id", "{service}")])),
    step(PROVIDER, "service untag shop env=prod", Prints(&[("/id", "{service}")])),
    step(CONSUMER, "service tag shop env=prod", Refused("there is no endpoint service \"shop\"")),
    step(CONSUMER, "service show {service}", Refused("EndPoint.")),
    step(
        PROVIDER,
        "service update {full_name} --port 80:8080 --port 22:22",
        Prints(&[("/ports/1/client_port", "22")]),
    ),
    step(CONSUMER, "service find {full_name}", Prints(&[("/id", "{service}")])),
    step(CONSUMER, "service find local.none.{domain}", Refused("EndPoint.")),
    // Who may connect.
    step(
        CONSUMER,
        "endpoint create --service {full_name} --vpc clients --subnet front",
        Refused("EndPoint.2012"),
    ),
    step(PROVIDER, "service allow shop {domain} *", Prints(&[("/permissions/0", "iam:domain::{domain}")])),
    step(PROVIDER, "service disallow shop *", Prints(&[("/permissions/0", "*")])),
    keeping(
        step(PROVIDER, "service permissions shop", Prints(&[("/total_count", "1")])),
        &[("permission", "/permissions/0/id")],
    ),
    step(
        PROVIDER,
        "service describe-permission shop {permission} friends",
        Prints(&[("/permissions/0/description", "friends")]),
    ),
    step(PROVIDER, "service disallow shop {permission}", Prints(&[("/permissions/0/id", "{permission}")])),
    step(
        PROVIDER,
        "service allow shop {domain} --description again",
        Prints(&[("/permissions/0/description", "again")]),
    ),
    step(
        Operator,
        "--account provider service allow shop consumer",
        Prints(&[("/permission_type", "domainId")]),
    ),
    step(Operator, "--account provider service allow shop nobody", Refused("cannot look up account")),
    // A service that is reached by routes.
    step(
        PROVIDER,
        "service create --type gateway --vpc servers --prefix 100.125.0.0/16",
        Refused("EndPoint."),
    ),
    keeping(
        step(
            Operator,
            "--account provider service create --type gateway --vpc servers --prefix 100.125.0.0/16 --name obs \
             --approval off --public --policy --wait",
            Prints(&[("/service_type", "gateway"), ("/status", "available")]),
        ),
        &[("gateway", "/id")],
    ),
    step(CONSUMER, "service public", Prints(&[("/endpoint_services/0/id", "{gateway}")])),
    keeping(
        step(
            CONSUMER,
            "route-table create main --vpc clients --subnet front",
            Prints(&[("/default", "false"), ("/subnets/0/id", "*")]),
        ),
        &[("table", "/id")],
    ),
    step(CONSUMER, "route-table list --vpc clients", Prints(&[("/total_count", "2")])),
    step(CONSUMER, "route-table show main", Prints(&[("/id", "{table}")])),
    keeping(
        step(
            CONSUMER,
            "endpoint create --service {gateway} --vpc clients --gateway --wait",
            Prints(&[("/status", "accepted"), ("/service_type", "gateway")]),
        ),
        &[("routed", "/id")],
    ),
    step(CONSUMER, "endpoint bind {routed} main", Prints(&[("/routetables/0", "{table}")])),
    step(
        CONSUMER,
        "endpoint set-policy {routed} /nonexistent",
        Refused("cannot read the policy in /nonexistent"),
    ),
    step(CONSUMER, "endpoint clear-policy {routed}", Prints(&[("/id", "{routed}")])),
    step(CONSUMER, "route-table delete main", Refused("EndPoint.")),
    step(CONSUMER, "endpoint delete {routed} --wait", Prints(&[("/id", "{routed}")])),
    step(CONSUMER, "route-table disassociate main front", Prints(&[("/subnets", "[]")])),
    step(CONSUMER, "route-table associate main front", Prints(&[("/subnets/0/id", "*")])),
    step(CONSUMER, "route-table disassociate main front", Prints(&[("/id", "{table}")])),
    step(CONSUMER, "route-table delete main", Prints(&[("/id", "{table}")])),
    step(Operator, "service delete {gateway} --wait", Prints(&[("/id", "{gateway}")])),
    // The connection.
    keeping(
        step(
            CONSUMER,
            "endpoint create --service {full_name} --vpc clients --subnet front --ip 192.168.24.9 --dns",
            Prints(&[("/status", "pendingAcceptance"), ("/endpoint_service_id", "{service}")]),
        ),
        &[("endpoint", "/id"), ("marker", "/marker_id")],
    ),
    step(
        CONSUMER,
        "endpoint create --service {service} --vpc clients --subnet front --wait --timeout 1",
        Refused("is still pendingAcceptance"),
    ),
    step(PROVIDER, "service connections shop", Prints(&[("/total_count", "2")])),
    step(PROVIDER, "service accept shop {marker}", Prints(&[("/connections/0/id", "{endpoint}")])),
    step(
        PROVIDER,
        "service describe-connection shop {marker} web",
        Prints(&[("/connections/0/description", "web")]),
    ),
    step(PROVIDER, "service accept shop 7", Refused("the service has no endpoint \"7\"")),
    step(CONSUMER, "service accept {service} {endpoint}", Refused("EndPoint.")),
    step(CONSUMER, "endpoint show {marker}", Prints(&[("/ip", "192.168.24.9"), ("/status", "accepted")])),
    step(CONSUMER, "endpoint list --vpc clients", Prints(&[("/total_count", "2")])),
    step(
        CONSUMER,
        "endpoint update {endpoint} --allow-from 192.168.24.0/28 192.168.24.77",
        Prints(&[("/whitelist/1", "192.168.24.77"), ("/enable_whitelist", "true")]),
    ),
    step(
        CONSUMER,
        "explain --vpc clients --client 192.168.24.99 --endpoint 192.168.24.9:80",
        Prints(&[("/verdict", "*"), ("/steps/0/status", "*")]),
    ),
    step(CONSUMER, "endpoint tag {marker} env=prod owner=web", Prints(&[("/id", "{endpoint}")])),
    step(CONSUMER, "endpoint untag {marker} owner", Prints(&[("/id", "{endpoint}")])),
    step(CONSUMER, "tag list endpoint", Prints(&[("/tags/0/key", "env"), ("/tags/0/values/0", "prod")])),
    step(
        CONSUMER,
        "tag search endpoint --tag env=prod,staging",
        Prints(&[("/resources/0/resource_id", "{endpoint}"), ("/total_count", "1")]),
    ),
    step(CONSUMER, "tag search endpoint --not env", Prints(&[("/total_count", "1")])),
    step(CONSUMER, "endpoint hosts --vpc clients", Prints(&[("/hosts/0/address", "192.168.24.9")])),
    step(CONSUMER, "endpoint update {marker} --allow-all", Prints(&[("/enable_whitelist", "false")])),
    step(Operator, "endpoint update {endpoint} --refusal silent", Prints(&[("/id", "{endpoint}")])),
    step(CONSUMER, "endpoint update {endpoint} --refusal reset", Refused("EndPoint.0004")),
    step(CONSUMER, "sessions --endpoint {marker}", Prints(&[("/total_count", "0")])),
    step(CONSUMER, "stats --endpoint {endpoint}", Prints(&[("/stats", "*")])),
    step(PROVIDER, "service reject shop {endpoint}", Prints(&[("/connections/0/status", "rejected")])),
    step(PROVIDER, "service accept shop {endpoint}", Prints(&[("/connections/0/id", "{endpoint}")])),
    // Limits.
    step(
        Operator,
        "quota set endpoint=2 --account consumer",
        Prints(&[("/resources/1/type", "endpoint"), ("/resources/1/quota", "2")]),
    ),
    step(CONSUMER, "quota show", Prints(&[("/resources/2/type", "connection"), ("/resources/1/used", "2")])),
    step(CONSUMER, "quota set endpoint=9", Refused("EndPoint.0004")),
    step(
        CONSUMER,
        "endpoint create --service {service} --vpc clients --subnet front",
        Refused("EndPoint.1018"),
    ),
    // The end.
    step(PROVIDER, "service delete shop", Refused("EndPoint.3006")),
    step(CONSUMER, "endpoint delete {marker} --wait", Prints(&[("/id", "{endpoint}")])),
    step(CONSUMER, "endpoint delete {endpoint}", Refused("EndPoint.")),
    step(PROVIDER, "service delete shop --wait", Prints(&[("/id", "{service}")])),
    step(PROVIDER, "backend delete spare", Prints(&[("/id", "*")])),
    step(PROVIDER, "subnet delete racks", Prints(&[("/id", "*")])),
    step(PROVIDER, "vpc delete servers", Refused("EndPoint.")),
    step(PROVIDER, "backend delete pool", Prints(&[("/id", "*")])),
    step(PROVIDER, "vpc delete servers", Prints(&[("/id", "*")])),
    step(Operator, "account delete consumer", Refused("EndPoint.")),
    step(Operator, "account delete provider", Prints(&[("/id", "provider")])),
    // What is on record.
    step(
        Operator,
        "audit --object {service} --limit 1",
        Prints(&[("/records/0/from", "vpcepd"), ("/records/0/changes/0/action", "delete")]),
    ),
    step(
        Operator,
        "--account consumer audit --since 1h --limit 1",
        Prints(&[("/records/0/status", "409"), ("/records/0/error_code", "EndPoint.3006")]),
    ),
    step(CONSUMER, "audit", Refused("EndPoint.0004")),
    // What is kept on the caller's side.
    step(Operator, "profile list", Prints(&[("/profiles", "[]")])),
    step(Operator, "profile show", Refused("there is no profile \"default\"")),
    step(Operator, "profile use prod", Refused("there is no profile \"prod\"")),
    step(Operator, "profile delete prod", Refused("there is no profile \"prod\"")),
    step(
        Operator,
        "login --server http://127.0.0.1:1 --account a --password-stdin",
        Refused("cannot read the password"),
    ),
    step(Operator, "logout", Refused("there is no profile \"default\"")),
    step(Operator, "completions bash", Prints(&[("/script", "*")])),
    step(Operator, "completions fish vpcepd", Prints(&[("/script", "*")])),
    step(Operator, "man /dev/null/man", Refused("cannot write manual pages to /dev/null/man")),
];
