"""The studio, a Streamlit app."""
