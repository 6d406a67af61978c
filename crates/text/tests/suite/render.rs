//! Chat templates that behave, and those that loop, nest, raise or read what is not there.

use crate::common::{bpe, hi};
use credence_text::{
    CONVERSATION_BYTES_MAX, CONVERSATION_DEPTH_MAX, Conversation, MESSAGES_MAX, Text, TextError,
};
use serde_json::{Value, json};

fn render(template: &str, conversation: &Conversation) -> Result<String, TextError> {
    let mut spec = bpe();
    spec.chat_template = Some(template.to_owned());
    Text::new(&spec)?.render(conversation)
}

fn gives(template: &str, expected: &str) {
    assert_eq!(render(template, &hi()).unwrap(), expected, "{template}");
}

fn fails(template: &str, right: fn(&TextError) -> bool) {
    let error = render(template, &hi()).unwrap_err();
    assert!(right(&error), "{error:?}: {template}");
}

#[test]
fn a_template_reads_the_conversation_and_the_special_tokens() {
    gives(
        "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}",
        "<|begin|>Hi<|end|>",
    );
    gives(
        "{{ add_generation_prompt }} {{ tools }} {{ pad_token is defined }}",
        "True None False",
    );
    let mut conversation = hi();
    conversation.tools = Some(vec![
        json!({"type": "function", "b": [1, 2.5, null], "a": "<é>"}),
    ]);
    conversation
        .extra
        .insert("enable_thinking".to_owned(), json!(false));
    let template = "{{ tools | tojson }}{{ enable_thinking is false }}{{ tools[0].b }}";
    assert_eq!(
        render(template, &conversation).unwrap(),
        r#"[{"a": "<é>", "b": [1, 2.5, null], "type": "function"}]True[1, 2.5, None]"#
    );
}

#[test]
fn the_order_in_which_keys_are_written_does_not_matter() {
    let mut one = hi();
    one.messages = vec![serde_json::from_str(r#"{"b":1,"a":{"d":2,"c":3}}"#).unwrap()];
    let mut other = hi();
    other.messages = vec![serde_json::from_str(r#"{"a":{"c":3,"d":2},"b":1}"#).unwrap()];
    let template =
        "{{ messages | tojson }}{% for k in messages[0] %}{{ k }}{% endfor %}{{ messages }}";
    assert_eq!(
        render(template, &one).unwrap(),
        render(template, &other).unwrap()
    );
}

#[test]
fn the_date_is_given_or_not_there() {
    let template =
        "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }}{% else %}none{% endif %}";
    gives(template, "none");
    let mut conversation = hi();
    conversation.date = Some("2024-07-26".to_owned());
    assert_eq!(render(template, &conversation).unwrap(), "26 Jul 2024");
    let hours = render("{{ strftime_now('%H:%M') }}", &conversation);
    assert!(matches!(
        hours,
        Err(TextError::TemplateFails { line: 1, .. })
    ));
    conversation.date = Some("26 Jul 2024".to_owned());
    assert!(matches!(
        render(template, &conversation),
        Err(TextError::Date)
    ));
}

#[test]
fn a_template_raises() {
    let template =
        "{% macro m() %}{{ raise_exception('roles must alternate') }}{% endmacro %}{{ m() }}";
    fails(template, |e| {
        e.to_string().ends_with("roles must alternate")
    });
    fails("{{ raise_exception('x' * 5000) }}", |e| {
        e.to_string().len() < 400
    });
    fails("{{ raise_exception(1) }}", |e| {
        matches!(e, TextError::TemplateRaised { .. })
    });
}

#[test]
fn what_is_not_there_prints_as_nothing_and_has_no_parts() {
    gives(
        "[{{ nothing }}{{ messages[0].nothing }}{{ messages[9] }}]",
        "[]",
    );
    let failed = |e: &TextError| matches!(e, TextError::TemplateFails { line: 2, .. });
    fails("\n{{ nothing.at.all }}", failed);
    fails("\n{{ nothing() }}", failed);
    fails("\n{{ messages[0].content.nothing() }}", failed);
    fails("\n{{ 'a' | nothing }}", failed);
    fails("\n{{ 1 // 0 }}", failed);
    fails("\n{{ messages[9] | tojson }}", failed);
}

#[test]
fn nothing_outside_is_reached() {
    for template in [
        "{% include 'chat_templates' %}",
        "{% import 'a' as b %}",
        "{% extends 'a' %}",
        "{{ debug() }}",
        "{{ lipsum() }}",
        "{{ now() }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.__init__.__globals__ }}",
        "{{ self.__init__() }}",
        "{{ 'a' | pprint }}",
    ] {
        assert!(render(template, &hi()).is_err(), "{template}");
    }
}

#[test]
fn a_template_that_does_not_end_is_ended() {
    let steps = |e: &TextError| matches!(e, TextError::TemplateSteps { .. });
    fails(
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        steps,
    );
    fails(
        "{% for a in range(99999) %}{% for b in range(99999) %}{{ '' }}{% endfor %}{% endfor %}",
        steps,
    );
    let failed = |e: &TextError| {
        matches!(
            e,
            TextError::TemplateFails { .. } | TextError::TemplateSteps { .. }
        )
    };
    fails("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", failed);
    fails(
        "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
        failed,
    );
    fails(
        "{% for x in messages recursive %}{{ loop([x]) }}{% endfor %}",
        failed,
    );
    fails("{% include 'chat_template' %}", failed);
    fails("{{ range(10 ** 12) }}", failed);
}

#[test]
fn a_template_that_writes_too_much_is_ended() {
    let output = |e: &TextError| matches!(e, TextError::TemplateOutput { .. });
    let text = "x".repeat(1000);
    fails(
        &format!("{{% for a in range(9999) %}}{text}{{% endfor %}}"),
        output,
    );
    fails("{{ 'x' * 2000000 }}", output);
    fails("{{ 'x' * 200000000 }}", |e| {
        matches!(e, TextError::TemplateFails { .. })
    });
    fails("{{ 'x' | indent(100000000) }}", |e| {
        matches!(e, TextError::TemplateFails { .. })
    });
    fails("{{ [1] | tojson(indent=100000000) }}", |e| {
        matches!(e, TextError::TemplateFails { .. })
    });
    fails("{{ '%1000000000d' | format(1) }}", |e| {
        matches!(e, TextError::TemplateFails { .. })
    });
}

#[test]
fn values_that_nest_as_deep_as_the_steps_allow_do_no_harm() {
    let nest = "{% set ns = namespace(x=[]) %}{% for a in range(30000) %}{% set ns.x = [ns.x] %}{% endfor %}";
    gives(nest, "");
    for end in ["{{ ns.x }}", "{{ ns.x | tojson }}", "{{ ns.x | string }}"] {
        fails(&(nest.to_owned() + end), |e| {
            matches!(e, TextError::TemplateFails { .. })
        });
    }
    gives(
        &(nest.to_owned() + "{{ (ns.x ~ '') | length > 9 }}{{ ns.x == ns.x }}"),
        "TrueTrue",
    );
}

#[test]
fn values_that_nest_by_many_levels_a_step_do_no_harm() {
    let (open, close) = ("[".repeat(40), "]".repeat(40));
    let nest = format!(
        "{{% set ns = namespace(x=[]) %}}{{% for a in range(6000) %}}{{% set ns.x = {open}ns.x{close} %}}{{% endfor %}}"
    );
    gives(&(nest.clone() + "{{ (ns.x ~ '') | length > 9 }}"), "True");
    gives(
        &(nest + "{{ ns.x == ns.x }}{{ ns.x < [ns.x] }}"),
        "TrueTrue",
    );
}

#[test]
fn conversations_beyond_the_limits_are_refused() {
    let with = |message: Value| Conversation {
        messages: vec![message],
        ..hi()
    };
    let nested = |depth: usize| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    let plain = "{{ messages | length }}";
    assert!(render(plain, &with(nested(CONVERSATION_DEPTH_MAX))).is_ok());
    let deep = render(plain, &with(nested(CONVERSATION_DEPTH_MAX + 1)));
    assert!(matches!(deep, Err(TextError::TooDeep { .. })));
    let long = render(plain, &with(json!("x".repeat(CONVERSATION_BYTES_MAX))));
    assert!(matches!(long, Err(TextError::TooLong { .. })));
    let many = render(plain, &with(json!(vec![0; CONVERSATION_BYTES_MAX / 16])));
    assert!(matches!(many, Err(TextError::TooLong { .. })));
    let mut conversation = hi();
    conversation.messages = vec![json!({}); MESSAGES_MAX + 1];
    assert!(matches!(
        render(plain, &conversation),
        Err(TextError::TooMany { got: 4097, .. })
    ));
    conversation.messages.truncate(MESSAGES_MAX);
    assert_eq!(render(plain, &conversation).unwrap(), "4096");
    for taken in ["messages", "raise_exception", "bos_token", "strftime_now"] {
        let mut conversation = hi();
        conversation.extra.insert(taken.to_owned(), json!(1));
        assert!(matches!(
            render(plain, &conversation),
            Err(TextError::ExtraName { .. })
        ));
    }
}
