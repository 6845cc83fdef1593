use super::*;

struct Row {
    id: &'static str,
    note: &'static str,
}

const COLUMNS: &[Column<Row>] =
    &[Column::whole("ID", |row| row.id.to_owned()), Column::text("NOTE", |row| row.note.to_owned())];

fn render(rows: &[Row], width: Option<usize>) -> String {
    Answer::table(Value::Null, None, rows, COLUMNS).render(Format::Table, width)
}

#[test]
fn columns_are_as_wide_as_their_cells_and_lines_have_no_trailing_spaces() {
    let rows = [Row { id: "1", note: "a" }, Row { id: "333", note: "" }];
    assert_eq!(render(&rows, None), "ID   NOTE\n1    a\n333\n");
    assert_eq!(render(&[], None), "ID  NOTE\n");
}

#[test]
fn texts_are_cut_to_the_terminal_and_never_into_a_pipe() {
    let rows = [Row { id: "0123456789", note: "the quick brown fox" }];
    assert_eq!(render(&rows, Some(40)), "ID          NOTE\n0123456789  the quick brown fox\n");
    assert_eq!(render(&rows, Some(25)), "ID          NOTE\n0123456789  the quick br…\n");
    assert_eq!(render(&rows, None), "ID          NOTE\n0123456789  the quick brown fox\n");
}

#[test]
fn rows_that_cannot_fit_become_records_with_whole_ids() {
    let rows = [Row { id: "0123456789", note: "fox" }, Row { id: "2", note: "hen" }];
    assert_eq!(render(&rows, Some(8)), "ID    0123456789\nNOTE  fox\n\nID    2\nNOTE  hen\n");
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let rows = [Row { id: "1", note: "a\n\u{1b}[31mb" }];
    assert_eq!(render(&rows, None), "ID  NOTE\n1   a  [31mb\n");
}

#[test]
fn records_show_every_field_in_a_line() {
    let json = json!({
        "a_null": null, "b_flag": true, "c_list": ["x", "y"], "d_none": [], "d_text": "",
        "e_object": {"x": 1, "y": "z"},
        "f_objects": [{"port": 1}, {"port": 2}],
        "g_deep": {"kind": "none", "maps": {"SESSIONS": {"bytes": 8, "capacity": 4}}},
    });
    let expected = "\
a_null                -
b_flag                yes
c_list                x, y
d_none                -
d_text                -
e_object              x=1 y=z
f_objects             port=1
                      port=2
g_deep.kind           none
g_deep.maps.SESSIONS  bytes=8 capacity=4
";
    assert_eq!(Answer::record(json).render(Format::Table, Some(20)), expected);
}

#[test]
fn json_is_one_document_for_every_answer() {
    let answers = [
        (Answer::record(json!({"id": "1"})), json!({"id": "1"})),
        (Answer::deleted("VPC", "1"), json!({"id": "1"})),
        (Answer::table(json!({"steps": []}), Some("refused".to_owned()), &[], COLUMNS), json!({"steps": []})),
        (
            Answer::rows(&List { items: vec![], total_count: 5 }, "rows", COLUMNS),
            json!({"rows": [], "total_count": 5}),
        ),
    ];
    for (answer, expected) in answers {
        let text = answer.render(Format::Json, Some(10));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }
}
