"""The subjects of MMLU and the groups in which their figures are summed.

Two conventions are in use. They differ in one subject, so group figures of the two never match, while overall ones do.
"""

STEM, HUMANITIES, SOCIAL_SCIENCES, OTHER = "STEM", "humanities", "social_sciences", "other"
BOTH_AGREE = {
    STEM: """abstract_algebra astronomy college_biology college_chemistry college_computer_science college_mathematics
        college_physics computer_security conceptual_physics electrical_engineering elementary_mathematics
        high_school_biology high_school_chemistry high_school_computer_science high_school_mathematics
        high_school_physics high_school_statistics machine_learning""",
    HUMANITIES: """formal_logic high_school_european_history high_school_us_history high_school_world_history
        international_law jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy prehistory
        professional_law world_religions""",
    SOCIAL_SCIENCES: """econometrics high_school_geography high_school_government_and_politics
        high_school_macroeconomics high_school_microeconomics high_school_psychology human_sexuality
        professional_psychology public_relations security_studies sociology us_foreign_policy""",
    OTHER: """business_ethics clinical_knowledge college_medicine global_facts human_aging management marketing
        medical_genetics miscellaneous nutrition professional_accounting professional_medicine virology""",
}

GROUPS: dict[str, tuple[str, str]] = {
    **{subject: (group, group) for group, subjects in BOTH_AGREE.items() for subject in subjects.split()},
    "anatomy": (STEM, OTHER),
}
"""Subject -> its group in lm-eval's tasks, and in the code of Hendrycks et al. (hendrycks/test, categories.py)."""
