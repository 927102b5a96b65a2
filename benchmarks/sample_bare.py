"""The least that a page of Streamlit can be: a search box and a headline that says what was asked for."""

import streamlit as st

asked = st.text_input("Search")
st.title(f"Asked for: {asked}")
