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
    let rendered = render(template, &hi());
    assert_eq!(rendered.ok().as_deref(), Some(expected), "{template}");
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

/// Each of these would take gigabytes, and most of them as many as there are.
#[test]
fn a_template_that_makes_too_much_is_ended() {
    fn too_much(e: &TextError) -> bool {
        matches!(e, TextError::TemplateMemory { .. })
    }
    let doubled = |by: &str| {
        format!("{{% set ns = namespace(x='xy') %}}{{% for a in range(40) %}}{by}{{% endfor %}}")
    };
    for by in [
        "{% set ns.x = ns.x ~ ns.x %}",
        "{% set ns.x = ns.x + ns.x %}",
        "{% set ns.x = ns.x * 2 %}",
        "{% set ns.x = [ns.x, ns.x] | join %}",
        "{% set ns.x = [ns.x, ns.x] | join('') %}",
        "{% set ns.x = ns.x.join([ns.x, ns.x]) %}",
        "{% set ns.x = ns.x | replace('x', 'xx') %}",
        "{% set ns.x = ns.x.replace('x', 'xx') %}",
        "{% set ns.x = ns.x.replace('x', ns.x) %}",
        "{% set ns.x = '{0}{0}'.format(ns.x) %}",
        "{% set b %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = b %}",
        "{% set b | upper %}{{ ns.x }}{{ ns.x }}{% endset %}{% set ns.x = b %}",
        "{% macro m() %}{{ ns.x }}{{ ns.x }}{% endmacro %}{% set ns.x = m() %}",
        "{% macro m() %}{{ caller() }}{{ caller() }}{% endmacro %}{% set b %}{% call m() %}{{ ns.x }}{% endcall %}{% endset %}{% set ns.x = b %}",
        "{% set ns.x = [ns.x, ns.x] %}",
        "{% set ns.x = (ns.x, ns.x) %}",
        "{% set ns.x = {'a': ns.x, 'b': ns.x} %}",
        "{% set ns.x = dict(a=ns.x, b=ns.x) %}",
        "{% set ns.x = [ns.x] * 2 %}",
        "{% set ns.x = [ns.x, ns.x] | list %}{{ ns.x in 'a' }}",
        "{% set ns.x = [[ns.x], [ns.x]] | map('string') | join %}",
    ] {
        fails(&doubled(by), too_much);
    }
    for whole in [
        // A text that is not large, held often, and one that is, copied often.
        "{% set x = 'x' * 1000000 %}{{ [x] * 1000 }}",
        "{% set x = 'x' * 1000000 %}{% set ns = namespace(l=[]) %}{% for a in range(9999) %}{% set y = x[1:] %}{% endfor %}",
        "{% set x = 'x' * 1000000 %}{% for a in range(9999) %}{% set b %}{{ x }}{% endset %}{% endfor %}",
        "{{ [1, 2] | join('x' * 16000000) | length }}",
        "{{ ('x' * 9000000) ~ ('x' * 9000000) }}",
        "{{ '{:>9999999}'.format('x') }}",
        "{{ 'xxxxxxxx'.replace('', 'y' * 4000000) | length }}",
        // Values that change after they were weighed.
        "{% set ns = namespace() %}{% set l = [ns, ns] %}",
        "{% set a = namespace() %}{% set b = namespace() %}{% set a.x = b %}",
        "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns ~ '' }}",
        "{% for a in [1] %}{% set l = [loop] %}{% endfor %}",
        // The template's own words.
        &format!(
            "{{% set ns = namespace() %}}{{% for a in range(9999) %}}{{% set b %}}{}{{% endset %}}{{% endfor %}}",
            "x".repeat(100_000)
        ),
    ] {
        fails(whole, too_much);
    }
    for repeated in [
        "{{ ([1] * 1000000000000) ~ '' }}",
        "{{ ([1] * 3000000) | list | length }}",
    ] {
        fails(repeated, |e| {
            too_much(e) || matches!(e, TextError::TemplateFails { .. })
        });
    }
    // Constants are not computed before they are asked for.
    let idle = format!(
        "{{% if false %}}{}{{% endif %}}fine",
        "{{ 'x' * 90000000 ~ 'y' }}".repeat(5000)
    );
    gives(&idle, "fine");
}

#[test]
fn guards_change_no_meaning() {
    for (template, expected) in [
        (
            "{{ 1 + 2 * 3 - 4 }} {{ 7 // 2 }} {{ 7 % 4 }} {{ 2 ** 5 }} {{ 'a' * 3 }} {{ 'a' + 'b' }}",
            "3 3 3 32 aaa ab",
        ),
        ("{{ 1 ~ 'b' ~ true ~ none }}", "1bTrueNone"),
        (
            "{{ 1 < 2 < 3 }} {{ 'a' in 'abc' }} {{ 2 not in [1] }} {{ nothing is defined }} {{ nothing is undefined }}",
            "True True True False True",
        ),
        (
            "{{ (nothing.at is defined) if nothing is defined else 'no' }}{{ messages[0].at is defined }}",
            "noFalse",
        ),
        ("{{ nothing and nothing.at }}[{{ 0 or 'b' }}]", "[b]"),
        (
            "{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set ns = namespace(n=1) %}{% set ns.n = ns.n + 1 %}{{ ns.n }}",
            "122",
        ),
        (
            "{% for a, b in {'x': 1}.items() %}{{ a }}{{ b }}{{ loop.index }}{{ loop.last }}{% endfor %}",
            "x11True",
        ),
        (
            "{% for x in [1, [2, [3]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}{% endif %}{% endfor %}",
            "1(2(3))",
        ),
        (
            "{% macro m(a, b='c') %}{{ a }}{{ b }}{{ caller() if caller }}{% endmacro %}{{ m(1) }}{{ m(1, b=2) }}{% call m('x') %}y{% endcall %}",
            "1c12xcy",
        ),
        (
            "{% filter upper %}a{{ 'b' }}{% endfilter %}{% set x | trim %} q {% endset %}[{{ x }}]",
            "AB[q]",
        ),
        (
            "{% with x = 3 %}{{ x }}{% endwith %}{% do namespace() %}{{ [3, 1, 2] | sort | join('-') }}",
            "31-2-3",
        ),
        (
            "{% for i in range(9) if i % 2 %}{% if i == 7 %}{% break %}{% endif %}{% if i == 3 %}{% continue %}{% endif %}{{ i }}{% else %}none{% endfor %}",
            "15",
        ),
        (
            "{{ 'abc'[1:] }}{{ [1, 2, 3][:2] }}{{ 'abc'[::-1] }}{{ messages[0]['content'] }}",
            "bc[1, 2]cbaHi",
        ),
        (
            "{{ [{'a': 1}, {'a': 2}] | map(attribute='a') | list }}{{ [1, 2] | select('odd') | list }}",
            "[1, 2][1]",
        ),
        (
            "{{ '{} and {x:>3}'.format(1, x=2) }}{{ 'a,b'.split(',') }}",
            "1 and   2['a', 'b']",
        ),
        (
            "{% block b %}in{% endblock %}{% autoescape true %}{{ '<' }}{% endautoescape %}",
            "in<",
        ),
    ] {
        gives(template, expected);
    }
}

/// As many messages as a long conversation has, and a template that goes over them as those of large models do.
#[test]
fn a_long_conversation_is_within_the_bounds() {
    let template = "{% set ns = namespace(out='', tools=[]) %}{% for m in messages[1:] %}{% set ns.out = ns.out ~ '<|' ~ m.role ~ '|>' ~ (m.content | trim) %}{% set ns.tools = ns.tools + [m.role] %}{% endfor %}{{ ns.out }}{{ ns.tools | length }}";
    let mut conversation = hi();
    conversation.messages = (0..1000)
        .map(|at| json!({"role": "user", "content": format!("{at} {}", "word ".repeat(40))}))
        .collect();
    let text = render(template, &conversation).unwrap();
    assert!(text.len() > 200_000 && text.ends_with("999"));
    conversation.messages = vec![json!({"role": "user", "content": "a"}); MESSAGES_MAX];
    let template = "{% for m in messages %}{% if loop.index0 == messages | length - 1 or m == messages | last %}{{ m.content }}{% endif %}{% endfor %}";
    assert_eq!(
        render(template, &conversation).unwrap(),
        "a".repeat(MESSAGES_MAX)
    );
}

#[test]
fn values_that_nest_deeper_than_is_weighed_are_refused() {
    let nest = |times: usize, levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(
            "{{% set ns = namespace(x=[]) %}}{{% for a in range({times}) %}}{{% set ns.x = {open}ns.x{close} %}}{{% endfor %}}"
        )
    };
    gives(
        &(nest(90, 1) + "{{ (ns.x ~ '') | length > 9 }}{{ ns.x == ns.x }}"),
        "TrueTrue",
    );
    gives(&(nest(2, 40) + "{{ ns.x < [ns.x] }}"), "True");
    for deep in [nest(30_000, 1), nest(6000, 40), nest(3, 40)] {
        fails(&deep, |e| matches!(e, TextError::TemplateMemory { .. }));
    }
    fails(&(nest(90, 1) + "{{ ns.x }}"), |e| {
        matches!(e, TextError::TemplateFails { .. })
    });
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
