//! Wrong usage: exit 2, the argument is named, and nothing is sent.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;

use anyhow::{Result, ensure};

use crate::story::STORY;
use crate::{REFUSED, Scratch, USAGE, vpcep};

/// Wrong command lines, and what stderr must name.
const WRONG_USAGE: &[(&str, &str)] = &[
    ("", "Usage: vpcep"),
    ("frobnicate", "frobnicate"),
    ("-o yaml vpc list", "--output"),
    ("--server gateway --token t vpc list", "--server"),
    ("--server ftp://gateway --token t vpc list", "--server"),
    ("--server https:// --token t vpc list", "--server"),
    ("--server http://gateway vpc list", "--token"),
    ("--server http://gateway --token t --socket /s vpc list", "--socket"),
    ("--token ä vpc list", "--token"),
    ("--account", "--account"),
    ("account create", "NAME"),
    ("account create bad/name", "NAME"),
    ("account list surplus", "surplus"),
    ("account show", "ACCOUNT"),
    ("account token", "ACCOUNT"),
    ("account delete", "ACCOUNT"),
    ("vpc create --cidr 10.0.0.0/24", "NAME"),
    ("vpc create net", "--cidr"),
    ("vpc create net --cidr 10.0.0.0", "--cidr"),
    ("vpc create net --cidr 10.0.0.1/24", "the network is 10.0.0.0/24"),
    ("vpc create net --cidr fd00::/8", "--cidr"),
    ("vpc list --cidr 10.0.0.0/24", "--cidr"),
    ("vpc show", "VPC"),
    ("vpc delete a b", "b"),
    ("subnet create front --cidr 10.0.0.0/24", "--vpc"),
    ("subnet create front --vpc net --cidr 10.0.0.0/33", "--cidr"),
    ("subnet list --vpc", "--vpc"),
    ("subnet show", "SUBNET"),
    ("subnet delete", "SUBNET"),
    ("attachment create --vpc net --interface eth1", "--address"),
    ("attachment create --vpc net --interface a/b --address 10.0.0.1/24", "--interface"),
    ("attachment create --vpc net --interface eth1 --address 10.0.0.1", "--address"),
    ("attachment create --vpc net --interface eth1 --address 10.0.0.0/24", "--address"),
    ("attachment create --vpc net --interface eth1 --address 10.0.0.255/24", "--address"),
    ("attachment create --vpc net --interface eth1 --address 10.0.0.1/24 --vlan 4095", "--vlan"),
    ("attachment create --vpc net --interface eth1 --address 10.0.0.1/24 --next-hop r", "--next-hop"),
    ("attachment create --vpc net --interface eth1 --address 10.0.0.1/24 --mode fast", "--mode"),
    ("attachment create --vpc net --interface eth1 --address 10.0.0.1/24 --timeout 5", "--wait"),
    ("attachment list eth1", "eth1"),
    ("attachment show", "ATTACHMENT"),
    ("attachment delete", "ATTACHMENT"),
    ("backend create web --vpc net --type vm", "--address"),
    ("backend create web --vpc net --type pod --address 10.0.0.7", "--type"),
    ("backend create web --vpc net --type vm --address host", "--address"),
    ("backend create web --vpc net --type lb --address 10.0.0.7 --member 10.0.0.8", "--member"),
    ("backend create web --vpc net --type lb --address 10.0.0.7 --member 10.0.0.8:80,weight=0", "--member"),
    ("backend create web --vpc net --type vm --address 10.0.0.7 --member 10.0.0.8:80", "--member"),
    ("--account a backend create web --vpc n --type vm --address 1.2.3.4 --member 1.2.3.5:80", "--member"),
    ("backend create web --vpc net --type vm --address 10.0.0.7 --health-check tcp", "--health-check"),
    ("backend create web --vpc net --type vm --address 10.0.0.7 --algorithm source_hash", "--algorithm"),
    ("backend create lb --vpc net --type lb --address 10.0.0.7 --algorithm random", "--algorithm"),
    ("backend create lb --vpc net --type lb --address 10.0.0.7 --health-check udp", "--health-check"),
    ("backend create lb --vpc net --type lb --address 10.0.0.7 --interval 5", "--health-check"),
    ("backend update lb", "--algorithm"),
    ("backend update lb --health-check tcp --interval 51", "--interval"),
    ("backend member add lb", "IP:PORT"),
    ("backend member add lb 10.0.0.8", "IP:PORT"),
    ("backend member drain lb 10.0.0.8", "IP:PORT"),
    ("backend member set-weight lb 10.0.0.8:80 0", "WEIGHT"),
    ("backend list --type vm", "--type"),
    ("backend show", "BACKEND"),
    ("backend delete", "BACKEND"),
    ("service create --vpc net --backend web", "--port"),
    ("service create --vpc net --backend web --port 80", "--port"),
    ("service create --vpc net --backend web --port 0:80", "--port"),
    ("service create --vpc net --backend web --port 80:8080/sctp", "--port"),
    ("service create --vpc net --backend web --port 80:80 --name seventeen-letters", "--name"),
    ("service create --vpc net --backend web --port 80:80 --name a.b", "--name"),
    ("service create --vpc net --backend web --port 80:80 --approval maybe", "--approval"),
    ("service create --vpc net --backend web --port 80:80 --description <b>", "--description"),
    ("service create --vpc net --backend web --port 80:80 --wait --timeout 0", "--timeout"),
    ("service create --vpc net --port 80:80", "--backend"),
    ("service create --vpc net --backend web", "--port"),
    ("service create --vpc net --backend web --port 80:80 --prefix 10.0.0.0/8", "--prefix"),
    ("service create --type gateway --vpc net", "--prefix"),
    ("service create --type gateway --vpc net --prefix 10.0.0.1/8", "--prefix"),
    ("service create --type gateway --vpc net --prefix 10.0.0.0/8 --port 80:80", "--port"),
    ("service create --type gateway --vpc net --prefix 10.0.0.0/8 --backend b", "--backend"),
    ("service create --vpc net --backend web --port 80:80 --tag env", "--tag"),
    ("service create --vpc net --backend web --port 80:80 --idle-timeout 9", "--idle-timeout"),
    ("service create --vpc net --backend web --port 80:80 --idle-reset maybe", "--idle-reset"),
    ("service update shop --idle-timeout 360001", "--idle-timeout"),
    ("service update shop --tcp-proxy ajar", "--tcp-proxy"),
    ("service update shop --proxy-profile ibm", "--proxy-profile"),
    ("service list --status up", "--status"),
    ("service rename shop", "NAME"),
    ("service rename shop a.b", "NAME"),
    ("service tag shop", "KEY=VALUE"),
    ("service tag shop env", "KEY=VALUE"),
    ("service untag shop", "KEY[=VALUE]"),
    ("service untag shop =", "KEY[=VALUE]"),
    ("service public now", "now"),
    ("service allow shop a --description <b>", "--description"),
    ("service describe-permission shop id", "DESCRIPTION"),
    ("service describe-connection shop 7", "DESCRIPTION"),
    ("service show", "SERVICE"),
    ("service update shop", "--approval"),
    ("service update shop --port 80:x", "--port"),
    ("service delete", "SERVICE"),
    ("service delete shop --timeout 5", "--wait"),
    ("service find", "FULL_NAME"),
    ("service allow shop", "PERMISSION"),
    ("service allow shop iam:user::x", "PERMISSION"),
    ("service disallow shop", "PERMISSION"),
    ("service permissions", "SERVICE"),
    ("service connections", "SERVICE"),
    ("service accept shop", "ENDPOINT"),
    ("service reject shop", "ENDPOINT"),
    ("endpoint create --service s --vpc v", "--subnet"),
    ("endpoint create --service s --vpc v --subnet n --ip 10.0.0", "--ip"),
    ("endpoint create --service s --vpc v --subnet n --allow-from 10.0.0.1/24", "--allow-from"),
    ("endpoint create --service s --vpc v --subnet n --wait --timeout soon", "--timeout"),
    ("endpoint create --service s --vpc v --subnet n --gateway", "--subnet"),
    ("endpoint create --service s --vpc v --gateway --dns", "--dns"),
    ("endpoint create --service s --vpc v --subnet n --route-table t", "--subnet"),
    ("endpoint tag e env", "KEY=VALUE"),
    ("endpoint untag e", "KEY[=VALUE]"),
    ("endpoint bind e", "ROUTE_TABLE"),
    ("endpoint set-policy e", "FILE"),
    ("endpoint clear-policy", "ENDPOINT"),
    ("endpoint hosts", "--vpc"),
    ("endpoint list --subnet n", "--subnet"),
    ("endpoint show", "ENDPOINT"),
    ("endpoint update e", "--allow-from"),
    ("endpoint update e --allow-from", "--allow-from"),
    ("endpoint update e --allow-from 10.0.0.0/24 10.0.1.7/24", "--allow-from"),
    ("endpoint update e --allow-from 10.0.0.0/24 --allow-all", "--allow-all"),
    ("endpoint update e --refusal loud", "--refusal"),
    ("endpoint delete", "ENDPOINT"),
    ("tag list vpc", "OF"),
    ("tag search endpoint --tag =", "--tag"),
    ("tag search service --untagged --any a", "--untagged"),
    ("route-table create t", "--vpc"),
    ("route-table list --subnet s", "--subnet"),
    ("route-table show", "ROUTE_TABLE"),
    ("route-table associate main", "SUBNET"),
    ("route-table disassociate main", "SUBNET"),
    ("route-table delete", "ROUTE_TABLE"),
    ("port create p", "--subnet"),
    ("port create p --subnet s --address a", "--address"),
    ("port list now", "now"),
    ("port show", "PORT"),
    ("port delete", "PORT"),
    ("user create", "NAME"),
    ("user create ann", "--account"),
    ("user create ann --role root", "--role"),
    ("user list now", "now"),
    ("user show", "USER"),
    ("user change-password", "--token"),
    ("user change-password surplus", "surplus"),
    ("user set-password", "USER"),
    ("user set-role ann", "ROLE"),
    ("user delete", "USER"),
    ("key create --description <b>", "--description"),
    ("key list now", "now"),
    ("key delete", "ACCESS"),
    ("token issue", "--server"),
    ("token revoke", "--token"),
    ("quota show endpoint", "endpoint"),
    ("quota show", "--account"),
    ("quota set", "TYPE=N"),
    ("quota set backend=7", "TYPE=N"),
    ("quota set endpoint=many", "TYPE=N"),
    ("sessions --limit 0", "--limit"),
    ("sessions --limit 1001", "--limit"),
    ("stats endpoint", "endpoint"),
    ("monitor --event opened,reopened", "--event"),
    ("monitor --reason whim", "--reason"),
    ("monitor --count 0", "--count"),
    ("monitor --for soon", "--for"),
    ("explain --vpc v --client 10.0.0.182", "--endpoint"),
    ("explain --vpc v --client 10.0.0.182 --endpoint 10.0.0.9", "--endpoint"),
    ("explain --vpc v --client me --endpoint 10.0.0.9:80", "--client"),
    ("login", "--server"),
    ("login --server http://gateway", "--account"),
    ("login --server http://gateway --account a --password x", "--password"),
    ("logout now", "now"),
    ("profile list a", "a"),
    ("profile show a b", "b"),
    ("profile use", "NAME"),
    ("profile delete", "NAME"),
    ("completions", "SHELL"),
    ("completions tcsh", "SHELL"),
    ("man", "DIRECTORY"),
    ("audit --since yesterday", "--since"),
    ("audit --until 2026-03-01", "--until"),
    ("audit --limit 0", "--limit"),
    ("status now", "now"),
];

#[test]
fn wrong_usage_exits_2_names_the_argument_and_sends_nothing() -> Result<()> {
    let scratch = Scratch::new("usage")?;
    let socket = scratch.0.join("vpcepd.sock");
    let listener = UnixListener::bind(&socket)?;
    listener.set_nonblocking(true)?;
    for (line, named) in WRONG_USAGE {
        let ran = vpcep(&socket, line)?;
        assert_eq!(ran.code, Some(USAGE), "vpcep {line}: {ran:?}");
        assert!(ran.stderr.contains(named), "vpcep {line}: {named} is not named in {}", ran.stderr);
        assert_eq!(ran.stdout, "", "vpcep {line}");
        assert!(listener.accept().is_err(), "vpcep {line} called the controller");
    }
    Ok(())
}

#[test]
fn every_command_has_help_and_a_row_of_wrong_usage() -> Result<()> {
    for command in commands()? {
        let ran = vpcep(Path::new("/nonexistent"), &format!("{command} --help"))?;
        assert_eq!(ran.code, Some(0), "{command}: {ran:?}");
        let is_covered = WRONG_USAGE.iter().any(|(line, _)| line.starts_with(&command));
        assert!(is_covered, "WRONG_USAGE has no row for vpcep {command}");
        let is_run = STORY.iter().any(|step| step.line.contains(&command));
        assert!(is_run, "STORY does not run vpcep {command}");
    }
    Ok(())
}

/// Every command, as help lists them: `vpc create`, `status`.
fn commands() -> Result<Vec<String>> {
    let mut commands = Vec::new();
    for noun in listed_in_help("")? {
        match listed_in_help(&noun)? {
            verbs if verbs.is_empty() => commands.push(noun),
            verbs => commands.extend(verbs.iter().map(|verb| format!("{noun} {verb}"))),
        }
    }
    ensure!(commands.len() > 30, "help lists {commands:?} only");
    Ok(commands)
}

fn listed_in_help(noun: &str) -> Result<Vec<String>> {
    let help = vpcep(Path::new("/nonexistent"), &format!("{noun} --help"))?.stdout;
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names =
        listed.filter(|line| !line.starts_with("   ")).filter_map(|line| line.split_whitespace().next());
    Ok(names.filter(|name| *name != "help").map(str::to_owned).collect())
}

#[test]
fn a_controller_that_is_not_there_is_an_error_that_says_what_to_check() -> Result<()> {
    let closed_port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let over_tcp = format!("--server http://127.0.0.1:{closed_port} --token t vpc list");
    for (line, advice) in [("vpc list", "start vpcepd"), (over_tcp.as_str(), "check the port")] {
        let ran = vpcep(Path::new("/nonexistent/vpcepd.sock"), line)?;
        assert_eq!(ran.code, Some(REFUSED), "{ran:?}");
        assert!(ran.stderr.contains(advice), "{ran:?}");
    }
    Ok(())
}
